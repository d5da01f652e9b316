"""The documents say what the code does: commands, options, settings, limits, tables and columns; and links lead somewhere."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer.main

import sniffer
from sniffer import config
from sniffer.cli import app
from sniffer.store import schema
from sniffer.store.store import Store

HOME = Path(__file__).parents[2]
README = (HOME / "README.md").read_text(encoding="utf-8")
OPERATING = (HOME / "docs" / "operating.md").read_text(encoding="utf-8")
SCHEMA = (HOME / "docs" / "schema.md").read_text(encoding="utf-8")
PAGES = sorted([*HOME.glob("*.md"), *(HOME / "docs").glob("*.md")])

COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
GENERAL = {"--help", "--version"}
EVERYWHERE = {"--db", "--config"}
"""Named once, in the head of README's table; `decode` needs neither."""


def options(command: str) -> set[str]:
    """The long options of a command."""
    return {name for param in COMMANDS[command].params for name in param.opts if name.startswith("--")} - GENERAL


def blocks(text: str, language: str) -> list[str]:
    """What stands between ```language and ```."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def called(text: str) -> list[list[str]]:
    """The calls of `sniffer` in the shell examples of a document, and those in backquotes, as words, up to a `--`."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    lines += re.findall(r"`((?:sudo )?sniffer [^`]+)`", text)
    parts = [part.strip() for line in lines for part in re.split(r"\||;|&&|>|  #", line)]
    calls = [part for line in parts if (part := line.removeprefix("sudo ")).startswith("sniffer ")]
    return [list(itertools.takewhile(lambda word: word != "--", shlex.split(call)[1:])) for call in calls]


# --- commands ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_every_command_and_its_options(command: str) -> None:
    (row,) = re.findall(rf"^\| `sniffer {command}[ `].*$", README, flags=re.MULTILINE)
    (head,) = re.findall(r"^\| command \|.*$", README, flags=re.MULTILINE)
    assert set(re.findall(r"--[a-z]+", head)) == EVERYWHERE
    assert options(command) >= EVERYWHERE or "no database" in row
    for option in options(command) - EVERYWHERE:
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", row), f"README.md, table of commands: {command} {option} is missing"
    for option in re.findall(r"--[a-z][\w-]*", row):
        assert option in options(command), f"README.md says {command} {option}, which does not exist"


def test_the_documents_call_what_exists() -> None:
    seen = 0
    for page in PAGES:
        for words in called(page.read_text(encoding="utf-8")):
            if words and words[0] in ("COMMAND", "--version", "--help"):
                continue
            assert words, page
            assert words[0] in COMMANDS, f"{page.name}: there is no `sniffer {words[0]}`"
            for word in words[1:]:
                name = word.partition("=")[0]
                if name.startswith("--"):
                    assert name in options(words[0]) | GENERAL, f"{page.name}: `sniffer {words[0]}` has no {name}"
            seen += 1
    assert seen > 20


def test_examples_of_the_help_pages_call_what_exists() -> None:
    for name, command in COMMANDS.items():
        calls = [words for line in command.epilog.splitlines() for words in called(f"```sh\n{line.strip()}\n```\n")]
        assert calls, f"{name} shows no example"
        for words in calls:
            assert words[0] == name
            assert {word for word in words if word.startswith("--")} <= options(name)


# --- settings and limits -------------------------------------------------------------------------------------------------


def listed(heading: str) -> dict[str, str]:
    """The first column of the table under a heading of operating.md, and the rest of its row."""
    section = OPERATING.partition(f"\n{heading}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `([\w.]+)` \|(.*)\|$", section, flags=re.MULTILINE)
    assert rows, f"operating.md has no table under {heading!r}"
    return dict(rows)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    table = listed("## Settings")
    known = {item.name: item for item in dataclasses.fields(config.Settings) if item.name != "limits"}
    assert set(table) == set(known)
    for name, item in known.items():
        shown = {None: "none", (): "none" if name == "keylog" else "all"}.get(item.default, str(item.default))  # type: ignore[arg-type]
        assert f"`{shown}`" in table[name] or shown in table[name].split("|")[0], f"{name}: the default is {shown}"


def test_every_limit_is_in_the_table_with_its_default() -> None:
    table = listed("### Limits")
    known = {item.name: item.default for item in dataclasses.fields(config.Limits)}
    assert set(table) == set(known)
    for name, default in known.items():
        shown = re.sub(r"\D", "", table[name].split("|")[0].partition("(")[0])
        assert shown == str(default), f"operating.md: the default of {name} is {default}"


def test_the_example_of_a_settings_file_is_one(tmp_path: Path) -> None:
    (example,) = blocks(OPERATING, "toml")
    file = tmp_path / "sniffer.toml"
    file.write_text(example)
    settings = config.load_settings(file)
    assert settings != config.Settings()


# --- tables --------------------------------------------------------------------------------------------------------------


def test_every_table_view_and_column_is_documented_with_its_type() -> None:
    connection = duckdb.connect(":memory:")
    connection.execute((HOME / "sniffer" / "store" / "schema.sql").read_text(encoding="utf-8"))
    columns = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
    ).fetchall()
    sections = re.split(r"^#+ `(\w+)`.*$", SCHEMA, flags=re.MULTILINE)[1:]
    shown = [
        (table, column, kind.replace(" ", ""))
        for table, section in zip(sections[::2], sections[1::2], strict=True)
        for column, kind in re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", section, flags=re.MULTILINE)
    ]
    assert sorted(shown) == columns
    for name in (*schema.TABLES, "orders", "orders_all", "fills", "candles(width)"):
        assert f"`{name}`" in SCHEMA, f"docs/schema.md does not name {name}"


def test_every_shown_query_runs(tmp_path: Path) -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    shown = [sql for text in texts for block in blocks(text, "sql") for sql in block.split(";")]
    shown += [words[-1] for text in texts for words in called(text) if words[0] == "query" and "SELECT" in words[-1]]
    queries = [sql for sql in shown if re.sub(r"--.*", "", sql).strip()]
    assert len(queries) > 5
    with Store(tmp_path / "orders.duckdb", live=True), sniffer.connect(tmp_path / "orders.duckdb") as connection:
        for sql in queries:
            connection.execute(sql)


# --- links and the house -------------------------------------------------------------------------------------------------


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target} is not there"


def test_the_house_is_drawn_as_it_is() -> None:
    drawing = (HOME / "docs" / "architecture.md").read_text(encoding="utf-8").partition("```\n")[2].partition("```")[0]
    for path in (HOME / "sniffer").iterdir():
        if path.name != "__pycache__" and (path.suffix == ".py" or path.is_dir()):
            name = path.name + ("/" if path.is_dir() else "")
            assert name in drawing, f"docs/architecture.md does not show {name}"

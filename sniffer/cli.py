"""The command line. Each command is thin: it checks its options, calls the module that does the work, and prints.

Exit codes: 0 done; 1 the work failed; 2 the call is wrong. Errors are one line on standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sniffer import __version__
from sniffer.allocator import keep_freed_memory
from sniffer.config import load_settings
from sniffer.errors import SnifferError, UsageError
from sniffer.model import Sender

app = typer.Typer(
    name="sniffer",
    help="Puts the orders of your trading strategies on disk, by reading their traffic off the network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Db = Annotated[Path | None, typer.Option("--db", help="The database file.", show_default="orders.duckdb")]
Config = Annotated[Path | None, typer.Option("--config", help="A settings file (TOML).", show_default=False)]
Hosts = Annotated[
    list[str] | None, typer.Option("--host", help="Only traffic with this host; may be repeated.", show_default=False)
]
Ports = Annotated[
    list[int] | None, typer.Option("--port", help="Only traffic with this TCP port; may be repeated.", show_default=False)
]
Keep = Annotated[
    str | None,
    typer.Option("--keep", help="orders: order messages; all: every message.", show_default="orders", metavar="orders|all"),
]


def main() -> NoReturn:
    """Entry point: runs a command and turns every error into one line and an exit code."""
    keep_freed_memory()
    try:
        code = app(standalone_mode=False)
    except SnifferError as error:
        _fail(str(error), error.exit_code)
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        # typer's own complaints about options and arguments know how to say themselves
        text = getattr(error, "format_message", None)
        if text is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(text())
            sys.exit(2)
        _fail(f"{text()} (see `{_command(error)} --help`)", 2)
    sys.exit(code if isinstance(code, int) else 0)


def _command(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "sniffer"


def _fail(text: str, code: int) -> NoReturn:
    print("sniffer: " + " ".join(text.split()), file=sys.stderr)
    sys.exit(code)


def _say(text: str) -> None:
    print(f"sniffer: {text}", file=sys.stderr, flush=True)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"sniffer {__version__}")
        raise typer.Exit


@app.command()
def replay(
    files: Annotated[
        list[str], typer.Argument(help="pcap or pcapng files, also .gz; - for standard input.", metavar="FILE...")
    ],
    db: Db = None,
    keep: Keep = None,
    host: Hosts = None,
    port: Ports = None,
    replace: Annotated[bool, typer.Option("--replace", help="Load the capture anew if it is in the database already.")] = False,
    config: Config = None,
) -> None:
    """Decode capture files, merged by time, into the database."""
    from sniffer.replay import replay_files

    settings = load_settings(config, db=db, keep=keep, hosts=host, ports=port)
    summary = replay_files(files, settings, replace=replace)
    from sniffer.report import summary_lines

    for line in summary_lines(summary, str(settings.db)):
        print(line)
    for damage in summary.damage:
        print(f"sniffer: {damage}", file=sys.stderr)
    if summary.damage:
        raise typer.Exit(1)


@app.command()
def record(
    interface: Annotated[
        list[str], typer.Option("-i", "--interface", help="Interface to capture, as lo; may be repeated.", show_default=False)
    ],
    db: Db = None,
    keep: Keep = None,
    host: Hosts = None,
    port: Ports = None,
    journal: Annotated[Path | None, typer.Option("--journal", help="Folder of the journal.", show_default="DB.journal")] = None,
    journal_max_bytes: Annotated[
        int | None, typer.Option("--journal-max-bytes", help="Size of the journal at most.", show_default="4 GiB")
    ] = None,
    publish_interval: Annotated[
        float | None, typer.Option("--publish-interval", help="Seconds between two versions of the file.", show_default="1.0")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", help="User that decodes and owns the database.", show_default="the caller under sudo"),
    ] = None,
    config: Config = None,
) -> None:
    """Record live: capture and load until Ctrl-C."""
    from sniffer.report import summary_lines
    from sniffer.sidecar import record as run

    settings = load_settings(
        config,
        db=db,
        keep=keep,
        hosts=host,
        ports=port,
        journal=journal,
        journal_max_bytes=journal_max_bytes,
        publish_interval=publish_interval,
    )
    summary = run(settings, interface, user=user, say=_say)
    for line in summary_lines(summary, str(settings.db)):
        print(line)


@app.command()
def decode(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files of one message each; none: JSON lines on standard input.", metavar="FILE..."),
    ] = None,
    venue: Annotated[str, typer.Option("--venue", help="Whose messages, as binance-spot.", show_default=False)] = "",
    sender: Annotated[str, typer.Option("--sender", help="Who sent them.", metavar="client|server")] = "server",
    together: Annotated[bool, typer.Option("--together", help="The files, in order, are one connection.")] = False,
    http: Annotated[
        str | None,
        typer.Option("--http", help='The payloads are bodies of this call, as "POST /api/v3/order".', show_default=False),
    ] = None,
) -> None:
    """Decode message payloads, and print a JSON object for each row."""
    import json
    from functools import partial

    from sniffer.config import account_name, account_salt
    from sniffer.exchanges import by_name
    from sniffer.exchanges import decode as engine
    from sniffer.exchanges.base import ConnectionFacts

    if not venue:
        raise UsageError("--venue is missing; it names the exchange, as binance-spot")
    if sender not in ("client", "server"):
        raise UsageError(f"--sender {sender}: it is client or server")
    problems = 0

    def problem(file: str, reason: str) -> None:
        nonlocal problems
        problems += 1
        print(f"sniffer: {file}: {reason}", file=sys.stderr)

    whose = by_name(venue)
    facts = ConnectionFacts(name_of=partial(account_name, account_salt()))
    if files:
        paths = [Path(name) for name in files]
        side: Sender = "client" if sender == "client" else "server"
        rows = engine.decode_files(whose, side, paths, facts, problem, together=together, http=http)
    else:
        rows = engine.decode_lines(whose, sys.stdin.buffer, facts, problem, http=http)
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))
    if problems:
        raise typer.Exit(1)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="The query.", metavar="SQL")],
    db: Db = None,
    form: Annotated[str, typer.Option("--format", help="How to print it.", metavar="table|json|csv|markdown")] = "table",
    config: Config = None,
) -> None:
    """Run a read-only query."""
    from sniffer.store import read
    from sniffer.table import FORMATS, print_rows

    if form not in FORMATS:
        raise UsageError(f"--format {form}: it is one of {', '.join(FORMATS)}")
    names, types, rows = read.query(load_settings(config, db=db).db, sql)
    print_rows(names, types, rows, form)


@app.command()
def tail(
    db: Db = None,
    venue: Annotated[str | None, typer.Option("--venue", help="Only this exchange.", show_default=False)] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this symbol.", show_default=False)] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Only this strategy.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """Print orders and fills as they come, until Ctrl-C."""
    from sniffer.report import follow

    follow(load_settings(config, db=db).db, venue=venue, symbol=symbol, strategy=strategy, as_json=as_json)


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="A .duckdb, .parquet or .csv file, or a folder.", metavar="TARGET")],
    db: Db = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the target.")] = False,
    config: Config = None,
) -> None:
    """Write a self-contained copy: native DuckDB, Parquet or CSV."""
    from sniffer.store.export import export as run

    for written in run(load_settings(config, db=db).db, target, force=force):
        print(f"wrote {written}")


@app.command()
def doctor(
    interface: Annotated[
        str | None, typer.Option("-i", "--interface", help="Interface to look at.", show_default=False)
    ] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Say, line by line, whether this machine can capture, and what to do."""
    from sniffer.doctor import checks

    bad = False
    for check in checks(load_settings(config, db=db), interface):
        print(f"{check.state:<5} {check.text}")
        bad = bad or check.state == "FAIL"
    if bad:
        raise typer.Exit(1)

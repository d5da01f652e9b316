"""The import rules of the house: one direction, and each third-party library in one place."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "sniffer").rglob("*.py"))

LAYERS = [
    {"sniffer.errors", "sniffer.model", "sniffer.config", "sniffer.allocator"},
    {"sniffer.capture", "sniffer.wire", "sniffer.exchanges", "sniffer.store"},
    {
        "sniffer.connections",
        "sniffer.examine",
        "sniffer.identity",
        "sniffer.keys",
        "sniffer.owners",
        "sniffer.pipeline",
        "sniffer.snapshot",
        "sniffer.summary",
        "sniffer.watch",
    },
    {
        "sniffer.sidecar",
        "sniffer.replay",
        "sniffer.redecode",
        "sniffer.doctor",
        "sniffer.execute",
        "sniffer.losses",
        "sniffer.export_capture",
        "sniffer.report",
        "sniffer.follow",
        "sniffer.table",
    },
    {"sniffer.__main__", "sniffer.cli", "sniffer.cli_live", "sniffer.cli_options"},
]
"""From the ground up: a module may import what stands below it or beside it, but for the four of the second layer."""

APART = LAYERS[1]

PLACES = {
    "cryptography": r"sniffer\.wire\.tls\..*",
    "typer": r"sniffer\.cli(_options|_live)?",
    "duckdb": r"sniffer\.store(\..*)?",
    "pyarrow": r"sniffer\.store(\..*)?",
    "scapy": r"sniffer\.capture\.scapy_live",
    "websockets": r"sniffer\.wire\..*",
    "h11": r"sniffer\.wire\.http",
    "numpy": r"sniffer\.wire\.heads",
    "msgspec": r"sniffer\.exchanges\..*",
    "prometheus_client": r"sniffer\.sidecar\.metrics",
    "rich": r"sniffer\.(follow|replay|table)",
}
"""Where each third-party library may be imported."""

MAY_NAME_DUCKDB = {"sniffer"}
"""`sniffer/__init__.py` names it for type checkers alone: `sniffer.connect` gives one of its connections."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that `path` imports, wherever in it."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    package = name_of(path) if path.stem == "__init__" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str | None:
    """Which part of the house a module belongs to: its first two names."""
    part = ".".join(module.split(".")[:2])
    return part if any(part in layer for layer in LAYERS) else None


def height(part: str) -> int:
    return next(at for at, layer in enumerate(LAYERS) if part in layer)


def test_every_module_has_its_place() -> None:
    outside = {name_of(path) for path in MODULES if part_of(name_of(path)) is None}
    assert outside == {"sniffer"}, "say in LAYERS where it stands"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    own = part_of(name_of(path))
    if own is None:
        return
    for module in imports(path):
        other = part_of(module)
        if other is None or other == own:
            continue
        assert height(other) <= height(own), f"{name_of(path)} imports {module}, which stands above it"
        assert not (own in APART and other in APART), f"{name_of(path)} imports {module}: the four in the middle stand apart"


def test_the_model_imports_nothing_of_ours() -> None:
    assert not [module for module in imports(ROOT / "sniffer/model.py") if module.startswith("sniffer")]


@pytest.mark.parametrize("library", sorted(PLACES))
def test_each_library_has_one_place(library: str) -> None:
    users = {name_of(path) for path in MODULES if any(module.split(".")[0] == library for module in imports(path))}
    if library == "duckdb":
        users -= MAY_NAME_DUCKDB
    assert users, f"nobody uses {library} any more: take it from the dependencies"
    assert all(re.fullmatch(PLACES[library], user) for user in users), users


def test_every_third_party_import_has_a_place() -> None:
    known = set(sys.stdlib_module_names) | set(PLACES) | {"sniffer"}
    found = {module.split(".")[0] for path in MODULES for module in imports(path)}
    assert found <= known, found - known


def test_what_is_declared_is_what_is_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *(name for names in project["optional-dependencies"].values() for name in names)]
    assert {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in declared} == set(PLACES)


def test_the_wire_is_pure() -> None:
    """No file, no socket, no clock: `socket` is there for its address functions alone."""
    allowed = {"inet_ntop", "AF_INET", "AF_INET6"}
    for path in (ROOT / "sniffer/wire").rglob("*.py"):
        used = {module.split(".")[0] for module in imports(path)}
        assert not used & {"time", "datetime", "os", "pathlib", "subprocess", "threading", "asyncio", "io"}, path
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "socket":
                assert node.attr in allowed, f"{path}: socket.{node.attr}"
            assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"), path


def test_strategies_and_sniffer_do_not_know_each_other() -> None:
    for path in (ROOT / "strategies").rglob("*.py"):
        assert not [module for module in imports(path) if module.split(".")[0] == "sniffer"], path
    for path in MODULES:
        assert not [module for module in imports(path) if module.split(".")[0] == "strategies"], path


def test_nothing_of_the_package_imports_the_tests() -> None:
    for path in MODULES:
        assert not {module.split(".")[0] for module in imports(path)} & {"tests", "pcaps", "bench"}, path


def test_modules_have_one_subject() -> None:
    """No module is longer than a reader keeps in mind."""
    for path in [*MODULES, *(ROOT / "strategies").rglob("*.py")]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 500, f"{path}: {lines} lines"

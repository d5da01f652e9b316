"""What the commands share: options that several of them take, how a command's usage reads, and what it needs.

Whether a file can be read is no matter of typer's (`readable=False`): who reads it says what is wrong, and the way out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from sniffer.errors import SnifferError, UsageError


class Command(TyperCommand):
    """A command whose usage names arguments as users do, `FILE...`, without typer's braces; its text explains them."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """See `TyperCommand`."""
        return ["[OPTIONS]", *(str(param.metavar) for param in self.params if param.param_type_name == "argument")]

    def invoke(self, ctx: Any) -> Any:
        """See `TyperCommand`."""
        for name, called in (("files", "FILE"), ("interface", "--interface")):
            if "" in (given if isinstance(given := ctx.params.get(name), list) else [given]):
                raise UsageError(f"{called}: an empty text names nothing; see `{ctx.command_path} --help`")
        if self.name != "exec":  # which starts its command whatever is wrong
            try:
                folder = Path.cwd()
            except OSError:
                raise SnifferError("the current folder is no longer there; `cd` to one that is") from None
            for named in ("db", "target"):
                if named in ctx.params:
                    _check_name(folder / (ctx.params[named] or ""))
        return super().invoke(ctx)


def _check_name(path: Path) -> None:
    """Raises `UsageError` for one that DuckDB cannot open."""
    name = os.fsencode(path)
    try:
        name.decode()
    except UnicodeDecodeError:
        shown = name.decode(errors="backslashreplace")
        raise UsageError(f"{shown}: is not UTF-8, and DuckDB takes no other names; rename it, or name another") from None


Db = Annotated[Path | None, typer.Option("--db", help="The database file [orders.duckdb].", metavar="FILE", readable=False)]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="A settings file [~/.config/sniffer/sniffer.toml].", metavar="FILE", readable=False),
]
Hosts = Annotated[
    list[str] | None, typer.Option("--host", help="Only traffic with this host; may be given several times.", metavar="HOST")
]
Ports = Annotated[
    list[int] | None,
    typer.Option("--port", help="Only traffic with this TCP port; may be given several times.", metavar="PORT"),
]
KeyLogs = Annotated[
    list[Path] | None,
    typer.Option(
        "--keylog",
        help="A TLS key log (SSLKEYLOGFILE), or a folder of them; may be given several times.",
        metavar="FILE",
        readable=False,
    ),
]
Keep = Annotated[
    str | None, typer.Option("--keep", help="Which messages to keep: of orders, or all [orders].", metavar="orders|all")
]

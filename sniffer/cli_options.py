"""What the commands share: options that several of them take, and how a command's usage reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose usage names arguments as users do, `FILE...`, without typer's braces; its text explains them."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """See `TyperCommand`."""
        return ["[OPTIONS]", *(str(param.metavar) for param in self.params if param.param_type_name == "argument")]


Db = Annotated[Path | None, typer.Option("--db", help="The database file [orders.duckdb].", metavar="FILE")]
Config = Annotated[
    Path | None, typer.Option("--config", help="A settings file [~/.config/sniffer/sniffer.toml].", metavar="FILE")
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
    ),
]
Keep = Annotated[
    str | None, typer.Option("--keep", help="Which messages to keep: of orders, or all [orders].", metavar="orders|all")
]

"""Runs the command line for tests: in this process, which is fast, or in one of its own, for signals, pipes and terminals."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from sniffer import cli

PCAPS = Path(__file__).parents[1] / "pcaps"
ORDERS = PCAPS / "websocket" / "binance-orders.pcap"
PROGRAM = [sys.executable, "-c", "from sniffer.cli import main; main()"]
"""The command in a process of its own."""


@dataclass
class Result:
    """What a call came to."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that an error is; anything else on standard error fails the test."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("sniffer: "), self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("sniffer: ")


def run(*arguments: str | Path) -> Result:
    """Call `sniffer` with these arguments, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
    handler = signal.getsignal(signal.SIGINT)
    try:
        with (
            mock.patch.object(sys, "argv", ["sniffer", *map(str, arguments)]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    finally:
        signal.signal(signal.SIGINT, handler)
    out.seek(0)
    err.seek(0)
    return Result(code, out.read(), err.read())

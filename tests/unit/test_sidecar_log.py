"""What the sidecar says, where it is heard and where it is not."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from sniffer.sidecar.log import Log


def test_a_reader_who_does_not_listen_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a terminal that is held by Ctrl-S: the process that has something to say goes on."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say = Log()
        patience = threading.Timer(5, os.read, (reading, filled))  # so that it fails, where it waits to be heard
        patience.start()
        begun = time.monotonic()
        say("nobody hears this")
        assert time.monotonic() - begun < 1
        patience.cancel()
        while filled:
            filled -= len(os.read(reading, filled))
        say("the journal can be written again")
        assert os.read(reading, 100) == b"sniffer: the journal can be written again\n"
    os.close(reading)


def test_a_file_and_a_stream_without_a_descriptor_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Log()("to whom it may concern")
    assert capsys.readouterr().err == "sniffer: to whom it may concern\n"
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        Log()("on the record")
    assert (tmp_path / "log").read_text() == "sniffer: on the record\n"

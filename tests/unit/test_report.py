"""What a run says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from sniffer.report import query_call, summary_lines
from sniffer.summary import Summary

pytestmark = pytest.mark.usefixtures("settings_folder")


def test_a_run_that_read_all() -> None:
    summary = Summary(name="a.pcap", packets=1234, connections=1, order_events=2, fill_events=1, seconds=3.21)
    assert list(summary_lines(summary, "o.duckdb")) == [
        "1,234 packets, 1 connection in 3.2 s: 2 order events, 1 fill -> o.duckdb"
    ]


def test_what_could_not_be_read_is_named() -> None:
    summary = Summary(name="a.pcap", packets=1, lost_bytes=1500)
    summary.losses[("tcp", "not captured")] = 3
    summary.losses[("capture", "cut off")] = 1
    summary.unexamined["exchange.example"] = 1022
    summary.unreadable["tls.example: TLS, and no key log is read"] = 2
    assert list(summary_lines(summary, "o.duckdb"))[1:] == [
        "  lost (tcp): not captured (3 times)",
        "  lost (capture): cut off",
        "  1,500 bytes lost in all; `sniffer query --db o.duckdb 'SELECT * FROM losses'` says where",
        "  not examined: 1,022 messages of exchange.example, which no venue recognises",
        "  not readable: tls.example: TLS, and no key log is read (2 connections)",
    ]


def test_the_call_that_asks_more_is_of_this_database(settings_folder: Path) -> None:
    assert query_call("FROM losses", "orders.duckdb") == "sniffer query 'FROM losses'"
    assert query_call("FROM losses", str(Path("orders.duckdb").absolute())) == "sniffer query 'FROM losses'"
    assert query_call("FROM losses", "my $file") == "sniffer query --db 'my $file' 'FROM losses'"
    settings_folder.mkdir(parents=True)
    (settings_folder / "sniffer.toml").write_text('db = "/data/o.duckdb"')
    assert query_call("FROM losses", "/data/o.duckdb") == "sniffer query 'FROM losses'"
    assert query_call("FROM losses", "orders.duckdb") == "sniffer query --db orders.duckdb 'FROM losses'"
    (settings_folder / "sniffer.toml").write_text("no toml")
    assert query_call("FROM losses", "orders.duckdb") == "sniffer query --db orders.duckdb 'FROM losses'"


def test_a_long_list_is_cut_and_says_so() -> None:
    summary = Summary(packets=1)
    for number in range(20):
        summary.unexamined[f"host-{number}"] = 100 - number
    lines = list(summary_lines(summary, "o.duckdb"))[1:]
    assert len(lines) == 9
    assert "host-0" in lines[0]
    assert lines[-1] == "  and 12 more of this kind"


def test_what_was_loaded_before() -> None:
    nothing = Summary(name="a.pcap", packets=150, already_loaded=150)
    assert list(summary_lines(nothing, "o.duckdb")) == [
        "a.pcap: already in o.duckdb (150 packets); nothing changed (--replace loads it anew)"
    ]
    more = list(summary_lines(Summary(name="a.pcap", packets=150, already_loaded=100), "o.duckdb"))
    assert more[0] == "a.pcap: 100 packets were in o.duckdb already; went on from there"
    assert more[1].startswith("150 packets, ")


def test_names_off_the_wire_cannot_steer_the_terminal() -> None:
    summary = Summary(name="\x1b[31m.pcap", packets=1, already_loaded=0)
    summary.unexamined["\x1b]0;owned\x07"] = 1
    summary.unreadable["\x9b1m: x"] = 1
    summary.losses[("capture", "\x1b[2J")] = 1
    assert all(line.isprintable() for line in summary_lines(summary, "\x1b.duckdb"))

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sniffer.errors import UsageError
from sniffer.exchanges.base import ConnectionFacts
from sniffer.exchanges.binance_spot import VENUE
from sniffer.exchanges.decode import decode_files, decode_lines, http_head, iso_time
from sniffer.model import FillEvent, OrderEvent, Sender
from tests.unit.exchanges.binance_messages import T0, order, place, refusal, trade


class Run:
    """One run of the engine: rows and problems."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []
        self.empty: list[tuple[str, str]] = []

    def files(self, sender: Sender, files: list[Path], **options: Any) -> list[dict[str, Any]]:
        return list(decode_files(VENUE, sender, files, ConnectionFacts(), self._problem, nothing=self._nothing, **options))

    def lines(self, lines: list[str | bytes], **options: Any) -> list[dict[str, Any]]:
        return list(decode_lines(VENUE, lines, ConnectionFacts(), self._problem, nothing=self._nothing, **options))

    def _problem(self, file: str, reason: str) -> None:
        self.problems.append((file, reason))

    def _nothing(self, file: str, reason: str) -> None:
        self.empty.append((file, reason))


def save(folder: Path, *messages: Any) -> list[Path]:
    files = [folder / f"{n}.json" for n in range(len(messages))]
    for file, message in zip(files, messages, strict=True):
        file.write_bytes(message if isinstance(message, bytes) else json.dumps(message).encode())
    return files


def test_rows_have_the_columns_of_their_tables(tmp_path: Path) -> None:
    run = Run()
    (file,) = save(tmp_path, trade(p="9.21e-7"))
    order_row, fill_row = run.files("server", [file])
    assert list(order_row) == ["file", "table", *OrderEvent._fields]
    assert list(fill_row) == ["file", "table", *FillEvent._fields]
    assert (order_row["file"], order_row["table"], fill_row["table"]) == (str(file), "order_events", "fill_events")
    assert (order_row["price"], order_row["filled_quantity"], fill_row["fee"]) == ("0.000000921", "100.00000000", "0.07136000")
    assert order_row["exchange_time"] == "2025-06-27T04:53:20.123000000Z"
    assert order_row["captured_at"] is None
    assert run.problems == []
    json.dumps([order_row, fill_row])


def test_each_file_is_a_connection_unless_they_are_together(tmp_path: Path) -> None:
    lines: list[str | bytes] = [
        json.dumps({"sender": "client", "payload": json.dumps(place())}),
        b"  ",
        json.dumps({"sender": "server", "payload": json.dumps(refusal(-1013, "Filter failure"))}).encode(),
    ]
    run = Run()
    asked, refused = run.lines(lines)
    assert (asked["kind"], refused["kind"], refused["symbol"], refused["status"]) == (
        "request",
        "response",
        "ADAUSDC",
        "REJECTED",
    )
    assert (asked["file"], asked["position"], refused["position"]) == ("-", 0, 0)

    files = save(tmp_path, trade(), trade(t=6))
    assert [row["position"] for row in Run().files("server", files)] == [0, 0, 0, 0]
    assert [row["position"] for row in Run().files("server", files, together=True)] == [0, 0, 1, 1]


def test_bodies_of_a_call(tmp_path: Path) -> None:
    files = save(tmp_path, order())
    (row,) = Run().files("server", files, http="post /api/v3/order")
    assert (row["kind"], row["action"], row["order_id"], row["exchange_time"]) == (
        "response",
        "place",
        "9184736251",
        iso_time(T0 * 10**6),
    )
    (row,) = Run().files("client", save(tmp_path, b"symbol=A&side=BUY&type=MARKET&quantity=1"), http="POST /api/v3/order")
    assert (row["kind"], row["side"], row["quantity"]) == ("request", "buy", "1")


def test_problems_name_the_file(tmp_path: Path) -> None:
    run = Run()
    files = save(tmp_path, trade(S="?"), b'{"e":"executionReport"', b"\xff\xfe", trade())
    assert len(run.files("server", files)) == 2
    assert [file for file, _ in run.problems] == [str(file) for file in files[:3]]


def test_what_holds_no_order_is_named_with_the_reason(tmp_path: Path) -> None:
    run = Run()
    login = {"method": "session.logon", "id": 1, "params": {"apiKey": "k", "signature": "s", "timestamp": 1}}
    files = save(tmp_path, b"eggs, milk", {"e": "kline"}, b" \n", login, trade(S="?"), trade())
    assert len(run.files("client", files[:4])) == 0
    assert len(run.files("server", files[4:])) == 2
    assert [(Path(file).name, reason.partition(",")[0].partition(";")[0]) for file, reason in run.empty] == [
        ("0.json", "no order or fill in it"),
        ("1.json", "no order or fill in it"),
        ("2.json", "it is empty"),
        ("3.json", "a login"),
    ]
    assert "binance-spot that the client sent; --venue, --sender" in run.empty[0][1]
    assert [Path(file).name for file, _ in run.problems] == ["4.json"]
    run = Run()
    run.files("server", files[:1], http="GET /api/v3/account")
    assert "a body of GET /api/v3/account" in run.empty[0][1]


def test_a_connection_without_any_order_is_named_once() -> None:
    other = json.dumps({"sender": "server", "payload": '{"e":"kline"}'})
    order_line = json.dumps({"sender": "server", "payload": json.dumps(trade())})
    for lines, expected in (
        ([], ["no message in it"]),
        ([other, other], ["no order or fill in it"]),
        ([other, order_line], []),
    ):
        run = Run()
        run.lines(list(lines))
        assert [reason.partition(",")[0] for file, reason in run.empty if file == "-"] == expected


@pytest.mark.parametrize(
    "lines", [["{}"], ["x"], ['{"sender":"me","payload":""}'], ['{"sender":"client","payload":5}'], ["[" * 10**5]]
)
def test_lines_of_another_form_are_refused(lines: list[str | bytes]) -> None:
    with pytest.raises(UsageError, match="standard input, line 1"):
        Run().lines(lines)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for file in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError, match=str(file)):
            Run().files("server", [file])


@pytest.mark.parametrize("call", ["", "POST", "POST order", "POST /a b", "P0ST /a"])
def test_calls_of_another_form_are_refused(call: str) -> None:
    with pytest.raises(UsageError, match="--http"):
        http_head(call)


def test_lone_surrogates_are_a_problem_and_no_crash() -> None:
    run = Run()
    assert run.lines(['{"sender":"server","payload":"{\\"e\\":\\"executionReport\\",\\"s\\":\\"\\ud800\\"}"}']) == []
    assert len(run.problems) == 1

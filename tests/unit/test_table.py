"""Rows as text: what a table aligns, folds and shows, and what the formats for programs keep exactly."""

from __future__ import annotations

import csv
import datetime
import io
import json
import time
from decimal import Decimal
from typing import Any

import pytest

from sniffer.table import is_number, json_value, plain, print_rows, table, visible


def printed(capsys: pytest.CaptureFixture[str], form: str, types: list[str], *rows: tuple[Any, ...]) -> str:
    print_rows([f"c{at}" for at in range(len(types))], types, rows, form)
    return capsys.readouterr().out


def test_numbers_stand_below_each_other_by_their_decimal_point() -> None:
    rows = [("BTC", Decimal("7.25"), 3), ("ETH", Decimal("123456789.12345678"), 12), ("X", Decimal("40"), None)]
    assert list(table(["symbol", "price", "n"], ["VARCHAR", "DECIMAL(38,18)", "BIGINT"], rows)) == [
        "symbol               price     n",
        "────────────────────────────────",
        "BTC             7.25           3",
        "ETH     123456789.12345678    12",
        "X              40           NULL",
        "(3 rows)",
    ]


def test_null_is_not_an_empty_text() -> None:
    assert list(table(["a", "b"], ["VARCHAR", "VARCHAR"], [(None, ""), ("x", "y")]))[2:] == ["NULL", "x     y", "(2 rows)"]


def test_no_rows_and_one_row() -> None:
    assert list(table(["abc"], ["INTEGER"], [])) == ["abc", "───", "(0 rows)"]
    assert list(table(["abc"], ["INTEGER"], [(1,)]))[-1] == "(1 row)"


def test_letters_that_take_two_columns_are_counted_as_two() -> None:
    lines = list(table(["a", "b"], ["VARCHAR", "VARCHAR"], [("注文", "x"), ("ab", "y")]))
    assert lines[2:4] == ["注文  x", "ab    y"]


def test_one_long_text_is_folded_to_fit() -> None:
    reason = "Account has insufficient balance for requested action."
    lines = list(
        table(["status", "reason", "n"], ["VARCHAR", "VARCHAR", "INTEGER"], [("REJECTED", reason, 1), ("NEW", None, 2)], 50)
    )
    assert lines == [
        "status    reason                                 n",
        "─" * 50,
        "REJECTED  Account has insufficient balance for   1",
        "          requested action.",
        "NEW       NULL                                   2",
        "(2 rows)",
    ]


def test_what_is_too_wide_is_a_block_of_lines_for_each_row() -> None:
    names = [f"column_{at}" for at in range(12)]
    rows = [tuple(f"value {at}" for at in range(12)), (None,) * 12]
    lines = list(table(names, ["VARCHAR"] * 12, rows, 60))
    assert lines[0] == "── row 1 " + "─" * 51
    assert lines[1:3] == ["column_0   value 0", "column_1   value 1"]
    assert lines[13] == "── row 2 " + "─" * 51
    assert lines[14] == "column_0   NULL"
    assert lines[-1] == "(2 rows)"


def test_only_numbers_too_wide() -> None:
    lines = list(table([f"n{at}" for at in range(9)], ["BIGINT"] * 9, [(10**15,) * 9], 40))
    assert lines[1] == "n0  1000000000000000"


def test_what_comes_off_the_wire_cannot_steer_the_terminal() -> None:
    hostile = "\x1b]0;owned\x07 \x9b31m\r\n\t \u202e \u2028"
    assert visible(hostile) == "\\x1b]0;owned\\x07 \\x9b31m\\r\\n\\t \\u202e \\u2028"
    assert visible("Größe 注文 \U0001f4b0") == "Größe 注文 \U0001f4b0"
    (line,) = list(table([hostile], ["VARCHAR"], [(hostile,)]))[2:3]
    assert line.isprintable()


@pytest.mark.parametrize(
    ("kind", "number"),
    [("DECIMAL(38,18)", True), ("UBIGINT", True), ("HUGEINT", True), ("DOUBLE", True), ("INTEGER", True)]
    + [
        (kind, False) for kind in ("UUID", "VARCHAR", "INTEGER[]", "DECIMAL(5,2)[]", "STRUCT(a INTEGER)", "INTERVAL", "BOOLEAN")
    ],
)
def test_types_that_are_numbers(kind: str, number: bool) -> None:
    assert is_number(kind) is number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (Decimal("0.000000000000000001"), "0.000000000000000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E-18"), "0"),
        (Decimal("-7.2500"), "-7.25"),
        (0.1, "0.1"),
        (12345678901234.56, "12345678901234.56"),
        (123456789.123456789, "123456789.12345679"),
        (-0.00001234, "-0.00001234"),
        (1e20, "100000000000000000000"),
        (5.0, "5"),
        (0.0, "0"),
        (1e300, "1e+300"),
        (1e-300, "1e-300"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, "true"),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, 600), "2026-01-02T03:04:05.000600"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(milliseconds=1500), "0:00:01.500000"),
        (b"\x00\xff", "00ff"),
        ([Decimal("1.50"), None], '["1.5", null]'),
        ("{}", "{}"),
    ],
)
def test_plain(value: Any, text: str) -> None:
    assert plain(value) == text


def test_json_keeps_every_digit_and_is_json() -> None:
    row = {
        "price": Decimal("12345678901234567890.123456789012345678"), "id": 2**63 - 1, "list": [Decimal("1.5"), float("nan")],
        "map": {Decimal("1"): datetime.date(2026, 1, 1)}, "null": None, "bool": True, "float": 1e300,
    }  # fmt: skip
    text = json.dumps(json_value(row), allow_nan=False)
    assert json.loads(text) == {
        "price": "12345678901234567890.123456789012345678", "id": 2**63 - 1, "list": ["1.5", "nan"],
        "map": {"1": "2026-01-01"}, "null": None, "bool": True, "float": 1e300,
    }  # fmt: skip


def test_json_is_an_object_a_line_and_loses_no_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["a", "a", "a_1", "a"], ["INTEGER"] * 4, [(1, 2, 3, 4), (5, 6, 7, 8)], "json")
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}
    assert list(json.loads(second).values()) == [5, 6, 7, 8]


def test_csv_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "csv", ["VARCHAR", "DECIMAL(38,18)"], ('say "hi", twice\nor more', Decimal("0.10")), (None, None))
    assert list(csv.reader(io.StringIO(out))) == [["c0", "c1"], ['say "hi", twice\nor more', "0.1"], ["", ""]]


def test_markdown_keeps_a_row_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "markdown", ["VARCHAR", "BIGINT"], ("a|b\nc", 5))
    assert out.splitlines() == ["| c0 | c1 |", "|---|---:|", "| a\\|b c | 5 |"]


def test_ten_thousand_rows_take_no_time() -> None:
    row = ("BTCUSDT", Decimal("7.25"), "a text", None, 1) * 4
    begun = time.process_time()
    lines = sum(
        1 for _ in table(["c"] * 20, ["VARCHAR", "DECIMAL(38,18)", "VARCHAR", "VARCHAR", "INTEGER"] * 4, [row] * 10_000)
    )
    assert lines == 10_003
    assert time.process_time() - begun < 3, "some 0.4 s; a table of rich takes 8"

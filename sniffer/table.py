"""Rows of a query as text: a table for people, and JSON lines, CSV and Markdown for programs."""

from __future__ import annotations

import csv
import datetime
import itertools
import json
import math
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.cells import cell_len

FORMATS: Final = ("table", "json", "csv", "markdown")
NULL: Final = "NULL"
"""What a table shows where there is no value, so that it is not taken for an empty text."""
_INTEGERS: Final = tuple(f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE"))
_NUMBERS: Final = frozenset((*_INTEGERS, "INTEGER", "UINTEGER", "DECIMAL", "FLOAT", "DOUBLE"))
_NO_EXPONENT: Final = (1e-9, 1e21)
"""Floats between these are written out."""
_GAP: Final = "  "
_FOLDED: Final = 24
"""A column of text is folded to fit a terminal, but not below so many characters: then each row becomes a block of lines."""


def print_rows(names: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[Any]], form: str) -> None:
    """Rows to standard output, as one of `FORMATS`. `types` are DuckDB's names of the columns' types.

    Numbers are exact, and times are ISO 8601, in every form. A table is fitted to the terminal, and as wide as it wants to be
    elsewhere.
    """
    if form == "json":
        keys = _unique(names)
        for row in rows:
            print(json.dumps(dict(zip(keys, map(json_value, row), strict=True)), ensure_ascii=False))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([plain(value) for value in row] for row in rows)
    elif form == "markdown":
        print("| " + " | ".join(map(_markdown, names)) + " |")
        print("|" + "|".join("---:" if is_number(kind) else "---" for kind in types) + "|")
        for row in rows:
            print("| " + " | ".join(_markdown(plain(value)) for value in row) + " |")
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in table(names, types, rows, width):
            print(line)


def plain(value: Any) -> str:
    """A value as text: numbers with every digit and without trailing zeros, times in ISO 8601; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if not _NO_EXPONENT[0] <= abs(value) < _NO_EXPONENT[1]:
            return str(value).removesuffix(".0")
        value = Decimal(str(value))  # which has the digits that say this number and no other
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | dict | tuple):
        return json.dumps(json_value(value), ensure_ascii=False)
    return str(value)


def json_value(value: Any) -> Any:
    """A value as JSON has it; decimals, times, bytes and what is not finite as text, so that nothing is rounded."""
    if value is None or isinstance(value, int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): json_value(item) for key, item in value.items()}
    return plain(value)


def visible(text: str) -> str:
    """Text that a terminal only shows: what comes off the wire may hold control sequences, which are written out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def is_number(kind: str) -> bool:
    """Whether a DuckDB type is numeric."""
    return not kind.endswith("]") and kind.partition("(")[0] in _NUMBERS


def table(names: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[Any]], width: int | None = None) -> Iterator[str]:
    """The lines of a table with aligned columns, numbers by their decimal point. `width`: of the terminal; None: any."""
    heads = [visible(name) for name in names]
    numeric = [is_number(kind) for kind in types]
    cells = [[NULL if row[at] is None else visible(plain(row[at])) for row in rows] for at in range(len(names))]
    columns = [_aligned(column) if number else column for column, number in zip(cells, numeric, strict=True)]
    widths = [max(map(_cells, (head, *column))) for head, column in zip(heads, columns, strict=True)]
    over = _total(widths) - width if width is not None else 0
    folded = -1
    if over > 0:
        texts = [(size, at) for at, size in enumerate(widths) if not numeric[at]]
        size, folded = max(texts, default=(0, -1))
        if size - over < _FOLDED:
            yield from _blocks(heads, cells, width or 0)
            return
        widths[folded] -= over

    def line(values: Sequence[str]) -> str:
        padded = (_pad(value, size, right) for value, size, right in zip(values, widths, numeric, strict=True))
        return _GAP.join(padded).rstrip()

    yield line(heads)
    yield "─" * _total(widths)
    for values in zip(*columns, strict=True):
        if folded < 0:
            yield line(values)
        else:
            yield from map(line, _fold(values, widths[folded], folded))
    yield _count(len(rows))


def _unique(names: Sequence[str]) -> list[str]:
    """Names as the keys of one object: a second `a` is `a_1`, as DuckDB calls it in a table."""
    taken: dict[str, None] = {}
    for name in names:
        key = next(key for number in itertools.count() if (key := f"{name}_{number}" if number else name) not in taken)
        taken[key] = None
    return list(taken)


def _blocks(heads: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """A row as a block of lines, a column a line: for what is too wide to stand side by side."""
    label = max(map(_cells, heads))
    count = 0
    for count, values in enumerate(zip(*cells, strict=True), 1):
        title = f"── row {count:,} "
        yield title + "─" * (width - len(title))
        for head, value in zip(heads, values, strict=True):
            yield f"{_pad(head, label)}{_GAP}{value}"
    yield _count(count)


def _count(rows: int) -> str:
    return f"({rows:,} row{'' if rows == 1 else 's'})"


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _aligned(column: Sequence[str]) -> list[str]:
    """Numbers with blanks behind them, so that their decimal points stand below each other once they end at the same place."""
    places = [len(text) - dot if (dot := text.find(".")) >= 0 else 0 for text in column]
    most = max(places, default=0)
    return [text + " " * (most - behind) for text, behind in zip(column, places, strict=True)]


def _fold(values: Sequence[str], size: int, at: int) -> Iterator[list[str]]:
    """The lines of a row whose cell `at` goes over several."""
    for number, part in enumerate(textwrap.wrap(values[at], size) or [""]):
        line = list(values) if number == 0 else [""] * len(values)
        line[at] = part
        yield line


def _cells(text: str) -> int:
    """Columns of a terminal that a text takes; some letters take two."""
    return len(text) if text.isascii() else cell_len(text)


def _pad(text: str, size: int, right: bool = False) -> str:
    blanks = " " * (size - _cells(text))
    return blanks + text if right else text + blanks


def _markdown(text: str) -> str:
    return visible(text.replace("\n", " ")).replace("\\", "\\\\").replace("|", "\\|")

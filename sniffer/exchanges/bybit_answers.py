"""What Bybit answers to order requests: acknowledgements and refusals, joined to what was asked.

An acknowledgement says "that the request is successfully accepted", not what became of the order: it has no status here.
Docs: https://bybit-exchange.github.io/docs/v5: websocket/trade/guideline, order/* (Response), error.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import PLACE, RESPONSE, Decoded, Rows
from sniffer.exchanges.fields import identity, objects, optional_text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

OUTCOME_UNKNOWN: Final = frozenset((10000, 10016, 170001, 170007, 170032, 170035, 170146, 3400214))
"""Time-outs ("Order creation timeout"), internal and network errors, and "Submitted to the system for processing!": the order
may have been placed all the same."""
OK: Final = 0

_CODE: Final = re.compile("-?[0-9]{1,9}")
_NAMES: Final = (("order_id", "orderId"), ("client_order_id", "orderLinkId"), ("symbol", "symbol"))


class Request(NamedTuple):
    """A request that awaits its answer: what it asks, the orders that it names, and whose it is."""

    action: str | None
    orders: tuple[OrderEvent, ...]
    account: str | None


class Code(NamedTuple):
    """An outcome: 0 and a word, or an error and its text."""

    number: int
    text: str | None


def _code(row: Row, key: str, text_key: str) -> Code:
    """An outcome, whose number the examples of the documentation write as text, too. Raises `Broken`."""
    number = identity(row, key)
    if number is None or _CODE.fullmatch(number) is None:
        raise Broken(f"field {key}: not a code")
    return Code(int(number), optional_text(row, text_key))


class Answer:
    """Reads one answer, of the trade websocket or of REST. `at` is the server's time in it."""

    def __init__(self, rows: Rows, request: Request, request_id: str | None, at: int | None, failed: bool = False) -> None:
        """`failed`: the server did (HTTP status 5xx), so what became of the order is unknown."""
        self._rows = rows
        self._request = request
        self._at = at
        self._request_id = request_id
        self._failed = failed

    def read(self, document: Row, result: Any) -> Decoded:
        """The meaning of the answer; `result` is what it calls `data` or `result`. Raises `Broken`."""
        code = _code(document, "retCode", "retMsg")
        if code.number != OK:
            self._add_all({}, code)
        elif type(result) is not dict:
            raise Broken("an answer without a result")
        elif "list" in result:
            self._batch(objects(result, "list"), document.get("retExtInfo"))
        else:
            self._add_all(result, code)
        return self._rows.decoded(RESPONSE)

    def _batch(self, parts: list[Row], info: Any) -> None:
        """Each order of a batch with its code; cancel-all lists what it cancelled, without codes."""
        told = type(info) is dict and "list" in info
        codes = [_code(item, "code", "msg") for item in objects(info, "list")] if told else []
        if told and len(codes) != len(parts):
            raise Broken("field retExtInfo: not a code for each order")
        asked = self._request.orders if told and len(self._request.orders) == len(parts) else None
        for index, part in enumerate(parts):
            self._add(asked[index] if asked else None, part, codes[index] if told else Code(OK, None))
        if not parts:
            self._add_all({}, Code(OK, None))

    def _add_all(self, part: Row, code: Code) -> None:
        for order in self._request.orders or (None,):
            self._add(order, part, code)

    def _add(self, asked: OrderEvent | None, part: Row, code: Code) -> None:
        said: dict[str, Any] = {"exchange_time": self._at, "request_id": self._request_id}
        action = self._request.action
        if code.number != OK:
            said |= {"status_raw": str(code.number), "reason": code.text or str(code.number)}
            if action == PLACE and not self._failed and code.number not in OUTCOME_UNKNOWN:
                said["status"] = "REJECTED"
        said |= {column: value for column, key in _NAMES if (value := optional_text(part, key)) is not None}
        if asked is None:
            self._rows.order(RESPONSE, action=action, **said)
        elif action == PLACE:
            self._rows.rejoined(asked, **said)
        else:  # neither a refusal nor an acknowledgement has changed the order yet
            self._rows.unchanged(asked, **said)

"""Messages of Binance Spot as its documentation describes them, with values of our own, and how tests decode them."""

from __future__ import annotations

import json
from typing import Any

from sniffer.exchanges.base import ConnectionFacts, Decoded, Decoder
from sniffer.exchanges.binance_spot import VENUE
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, HttpHead, Message, Sender

JSON = dict[str, Any]

T0 = 1_751_000_000_123
"""Milliseconds; 2025-06-27 04:53:20.123 UTC."""


def report(**changes: Any) -> JSON:
    """A bare executionReport: a resting limit order, with `changes`."""
    event: JSON = {
        "e": "executionReport", "E": T0 + 2, "s": "ADAUSDC", "c": "strat7-0001", "S": "SELL", "o": "LIMIT", "f": "GTC",
        "q": "250.00000000", "p": "0.71350000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW", "X": "NEW",
        "r": "NONE", "i": 9184736251, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None, "T": T0,
        "t": -1, "I": 19283746, "w": True, "m": False, "M": False, "O": T0, "Z": "0.00000000", "Y": "0.00000000",
        "Q": "0.00000000", "W": T0, "V": "EXPIRE_MAKER",
    }  # fmt: skip
    return event | changes


def trade(**changes: Any) -> JSON:
    """An executionReport of a first partial fill."""
    filled: JSON = {
        "x": "TRADE", "X": "PARTIALLY_FILLED", "l": "100.00000000", "z": "100.00000000", "L": "0.71360000", "n": "0.07136000",
        "N": "USDC", "t": 55512345, "m": True,
    }  # fmt: skip
    return report(**(filled | changes))


def order(**changes: Any) -> JSON:
    """An order as the RESULT answer to a placement shows it."""
    shown: JSON = {
        "symbol": "ADAUSDC", "orderId": 9184736251, "orderListId": -1, "clientOrderId": "strat7-0001", "transactTime": T0,
        "price": "0.71350000", "origQty": "250.00000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "SELL",
        "workingTime": T0, "selfTradePreventionMode": "NONE",
    }  # fmt: skip
    return shown | changes


def full(**changes: Any) -> JSON:
    """The FULL answer of an order that filled at once, in two trades."""
    fills = [
        {"price": "0.71360000", "qty": "200.0", "commission": "0.14272", "commissionAsset": "USDC", "tradeId": 55512345},
        {"price": "0.71350000", "qty": "50.0", "commission": "0.035675", "commissionAsset": "USDC", "tradeId": 55512346},
    ]
    return order(status="FILLED", executedQty="250.00000000", fills=fills) | changes


def canceled(**changes: Any) -> JSON:
    """The answer to a cancellation."""
    shown = order(origClientOrderId="strat7-0001", clientOrderId="cancel-of-0001", status="CANCELED")
    del shown["workingTime"]
    return shown | changes


def ask(method: str, request_id: Any = "r-1", **params: Any) -> JSON:
    """A request of the WebSocket API."""
    secrets = {"apiKey": "KEY-of-alice", "signature": "SIGNED-by-alice", "timestamp": T0 - 5}
    return {"id": request_id, "method": method, "params": params | secrets}


def place(request_id: Any = "r-1", method: str = "order.place", **changes: Any) -> JSON:
    params: JSON = {
        "symbol": "ADAUSDC", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "0.7135", "quantity": "250",
        "newClientOrderId": "strat7-0001",
    }  # fmt: skip
    return ask(method, request_id, **(params | changes))


def answer(result: Any, request_id: Any = "r-1", status: int = 200) -> JSON:
    limits = [{"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100, "count": 3}]
    return {"id": request_id, "status": status, "result": result, "rateLimits": limits}


def refusal(code: int, msg: str, request_id: Any = "r-1", status: int = 400, **data: Any) -> JSON:
    error: JSON = {"code": code, "msg": msg} | ({"data": data} if data else {})
    return {"id": request_id, "status": status, "error": error}


def decoder(**facts: Any) -> Decoder:
    return VENUE.decoder(ConnectionFacts(connection_id=77, name_of=lambda secret: f"name of {secret}", **facts))


def message(sender: Sender, payload: Any, position: int = 3) -> Message:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    return Message(77, sender, position, 1000, 2000, OPCODE_TEXT, raw)


def http(sender: Sender, call: str, payload: Any = b"", status: int | None = None, **headers: str) -> Message:
    method, _, target = call.partition(" ")
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Message(77, sender, 3, 1000, 2000, OPCODE_HTTP, raw, HttpHead(method, target, status, fields))


def of_server(*payloads: Any, **facts: Any) -> Decoded:
    """The meaning of the last of `payloads`, all sent by the server of one connection."""
    return _last(decoder(**facts), "server", payloads)


def of_client(*payloads: Any, **facts: Any) -> Decoded:
    return _last(decoder(**facts), "client", payloads)


def joined(request: JSON, response: JSON) -> Decoded:
    """The meaning of a response whose request was seen."""
    one = decoder()
    one.decode(message("client", request))
    return _last(one, "server", (response,))


def _last(one: Decoder, sender: Sender, payloads: tuple[Any, ...]) -> Decoded:
    found = [one.decode(message(sender, payload)) for payload in payloads][-1]
    assert found is not None
    return found

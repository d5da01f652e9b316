"""Order traffic in binance-spot's formats, with values of our own (developers.binance.com: WebSocket API, User Data Stream)."""

from __future__ import annotations

import json
from typing import Any

from pcaps.kit.files import record
from pcaps.kit.talk import MS, START, Talk
from pcaps.kit.truth import Capture, capture

LISTEN_KEY = "MadeUpListenKeyForDocumentationOnly0123456789abcdefghijklmnopqrst"
"""Not a key; where secrets are redacted, this must be."""
API_KEY = "MadeUpApiKeyForDocumentationOnly0123456789ABCDEFGHIJKLMNOPQRSTUV"
MILLIS = START // MS
ZERO = "0.00000000"


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def report(order: int, execution: str, status: str, **more: Any) -> dict[str, Any]:
    """An executionReport event."""
    event = {"e": "executionReport", "E": MILLIS + order, "s": "EXMUSDT", "c": f"strategy-7-{order}", "S": "BUY", "o": "LIMIT"}
    event |= {
        "f": "GTC",
        "q": "40.00000000",
        "p": "7.25000000",
        "P": ZERO,
        "F": ZERO,
        "g": -1,
        "C": "",
        "x": execution,
        "X": status,
    }
    event |= {"r": "NONE", "i": order, "l": ZERO, "z": ZERO, "L": ZERO, "n": "0", "N": None, "T": MILLIS + order, "t": -1}
    event |= {
        "I": order * 2,
        "w": status in ("NEW", "PARTIALLY_FILLED"),
        "m": False,
        "M": False,
        "O": MILLIS,
        "Z": ZERO,
        "Y": ZERO,
    }
    return event | {"Q": ZERO, "W": MILLIS, "V": "NONE"} | more


def lifecycles() -> list[dict[str, Any]]:
    """Filled in two parts, canceled by another request's id, rejected, expired."""
    part = {"l": "15.00000000", "z": "15.00000000", "L": "7.25000000", "n": "0.01500000", "N": "EXM", "t": 501, "m": True}
    rest = {"l": "25.00000000", "z": "40.00000000", "L": "7.24000000", "n": "-0.00250000", "N": "EXM", "t": 502}
    return [
        report(7001, "NEW", "NEW"),
        report(7001, "TRADE", "PARTIALLY_FILLED", **part, Z="108.75000000", Y="108.75000000"),
        report(7002, "NEW", "NEW", S="SELL", o="STOP_LOSS_LIMIT", P="6.90000000", w=False),
        report(7001, "TRADE", "FILLED", **rest, Z="289.75000000", Y="181.00000000"),
        report(7002, "CANCELED", "CANCELED", S="SELL", o="STOP_LOSS_LIMIT", P="6.90000000", c="cancel-1", C="strategy-7-7002"),
        report(7003, "REJECTED", "REJECTED", o="LIMIT_MAKER", r="WOULD_MATCH_IMMEDIATELY"),
        report(7004, "NEW", "NEW", f="IOC", q="0.00000001", p="123456789.12345678"),
        report(7004, "EXPIRED", "EXPIRED", f="IOC", q="0.00000001", p="123456789.12345678"),
    ]


def shown(order: int, status: str, **more: Any) -> dict[str, Any]:
    """An order as responses show it."""
    out = {
        "symbol": "EXMUSDT",
        "orderId": order,
        "orderListId": -1,
        "clientOrderId": f"strategy-7-{order}",
        "transactTime": MILLIS,
    }
    out |= {"price": "7.25000000", "origQty": "40.00000000", "executedQty": ZERO, "origQuoteOrderQty": ZERO}
    out |= {"cummulativeQuoteQty": ZERO, "status": status, "timeInForce": "GTC", "type": "LIMIT", "side": "BUY"}
    return out | {"selfTradePreventionMode": "NONE"} | more


def api_exchanges() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Requests of the WebSocket API with their responses' `status` and `result` or `error`."""
    signed = {"apiKey": API_KEY, "timestamp": MILLIS, "signature": "00" * 32}
    limit = {"symbol": "EXMUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "7.25", "quantity": "40"}
    fill = {"price": "7.25000000", "qty": "40.00000000", "commission": "0.04000000", "commissionAsset": "EXM", "tradeId": 503}
    canceled = shown(7012, "CANCELED", origClientOrderId="strategy-7-7012", clientOrderId="cancel-2")
    amended = shown(7012, "NEW", qty="30.00000000", origClientOrderId="strategy-7-7012", clientOrderId="amend-1")
    replaced = {
        "cancelResult": "SUCCESS",
        "newOrderResult": "SUCCESS",
        "cancelResponse": canceled,
        "newOrderResponse": shown(7013, "NEW"),
    }
    legs = [{"symbol": "EXMUSDT", "orderId": order, "clientOrderId": f"strategy-7-{order}"} for order in (7014, 7015)]
    oco = {"orderListId": 31, "contingencyType": "OCO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING"}
    oco |= {"listClientOrderId": "list-1", "transactionTime": MILLIS, "symbol": "EXMUSDT", "orders": legs}
    oco |= {"orderReports": [shown(order, "NEW", orderListId=31, side="SELL") for order in (7014, 7015)]}
    cancel = {"symbol": "EXMUSDT", "origClientOrderId": "strategy-7-7012"}
    return [
        (
            {"method": "session.logon", "params": signed},
            {"status": 200, "result": {"apiKey": API_KEY, "authorizedSince": MILLIS}},
        ),
        (
            {"method": "order.place", "params": limit | {"newClientOrderId": "strategy-7-7011"} | signed},
            {"status": 200, "result": shown(7011, "FILLED", executedQty="40.00000000", fills=[fill])},
        ),
        (
            {"method": "order.place", "params": limit | {"newClientOrderId": "strategy-7-7012", "price": "7.1"} | signed},
            {"status": 200, "result": shown(7012, "NEW", price="7.10000000")},
        ),
        (
            {"method": "order.place", "params": limit | {"newClientOrderId": "strategy-7-rej", "quantity": "4000000"} | signed},
            {"status": 400, "error": {"code": -2010, "msg": "Account has insufficient balance for requested action."}},
        ),
        (
            {"method": "order.amend.keepPriority", "params": cancel | {"newQty": "30"} | signed},
            {"status": 200, "result": {"transactTime": MILLIS, "executionId": 9, "amendedOrder": amended}},
        ),
        (
            {"method": "order.cancelReplace", "params": limit | {"cancelReplaceMode": "STOP_ON_FAILURE"} | cancel | signed},
            {"status": 200, "result": replaced},
        ),
        (
            {"method": "orderList.place.oco", "params": limit | {"listClientOrderId": "list-1"} | signed},
            {"status": 200, "result": oco},
        ),
        (
            {"method": "order.cancel", "params": cancel | signed},
            {"status": 400, "error": {"code": -2011, "msg": "Unknown order sent."}},
        ),
    ]


def api_session(chosen: str | None, **how: int) -> Talk:
    """Requests in flight two at a time, so that answers come late, then user data events on the same connection."""
    talk = Talk("192.0.2.1:41000", "198.51.100.1:9443", **how).open()
    talk.upgrade(chosen, target="/ws-api/v3", host="ws-api.binance.com:443")
    waiting: list[dict[str, Any]] = []
    for number, (request, response) in enumerate(api_exchanges()):
        talk.say("client", compact({"id": f"request-{number}"} | request))
        waiting.append({"id": f"request-{number}"} | response | {"rateLimits": []})
        if len(waiting) == 2:
            talk.say("server", compact(waiting.pop(0)))
    talk.say("server", compact(waiting.pop()))
    talk.say("client", compact({"id": "subscribe", "method": "userDataStream.subscribe"}))
    talk.say("server", compact({"id": "subscribe", "status": 200, "result": {"subscriptionId": 0}}))
    for event in lifecycles():
        talk.say("server", compact({"subscriptionId": 0, "event": event}))
    return ended(talk)


def user_stream(chosen: str | None, *, combined: bool, **how: int) -> Talk:
    """User data events, bare or in the `stream`/`data` envelope, with pings and market data between them."""
    port = 42_001 if combined else 42_000
    talk = Talk(f"192.0.2.1:{port}", "198.51.100.1:9443", **how).open()
    target = f"/stream?streams={LISTEN_KEY}/exmusdt@bookTicker" if combined else f"/ws/{LISTEN_KEY}"
    talk.upgrade(chosen, target=target, host="stream.binance.com:9443")
    for event in lifecycles():
        talk.say("server", compact({"stream": LISTEN_KEY, "data": event} if combined else event))
        if combined:
            quote = {
                "u": event["E"],
                "s": "EXMUSDT",
                "b": "7.24000000",
                "B": "90.00000000",
                "a": "7.26000000",
                "A": "12.50000000",
            }
            talk.say("server", compact({"stream": "exmusdt@bookTicker", "data": quote}))
    talk.say("server", str(MILLIS), "ping")
    talk.say("client", str(MILLIS), "pong")
    return ended(talk)


def ended(talk: Talk) -> Talk:
    talk.say("client", b"\x03\xe8", "close")
    talk.say("server", b"\x03\xe8", "close")
    return talk.close()


def sessions(chosen: str | None) -> Capture:
    return record(
        api_session(chosen, start=START),
        user_stream(chosen, combined=False, start=START + 300_000),
        user_stream(chosen, combined=True, start=START + 600_000),
    )


@capture("binance-spot orders, plain: the WebSocket API and user data in its three envelopes, three connections at once")
def binance_orders() -> Capture:
    return sessions(None)


@capture("the same traffic with permessage-deflate", rfc="RFC 7692 7.2")
def binance_orders_compressed() -> Capture:
    return sessions("permessage-deflate")

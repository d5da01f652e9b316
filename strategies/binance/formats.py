"""The exchange's messages, as binance-spot writes them: one function a message, no state.

Sources, in github.com/binance/binance-spot-api-docs: user-data-stream.md (executionReport, outboundAccountPosition),
web-socket-api.md (responses), web-socket-streams.md (market data). Amounts are strings with eight decimals; times are
integer ms since the epoch; the order of the fields is the documents'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from strategies.accounts import ZERO, Account
from strategies.binance.refusals import Failed
from strategies.dialect import Json, dumps
from strategies.orders import Fill, Order, now_ms


def amount(value: Decimal) -> str:
    """A price or quantity with the venue's eight decimals."""
    return f"{value:.8f}"


# --- user data stream -----------------------------------------------------------------------------------------------------


def execution_report(order: Order, execution: str, fill: Fill | None, original_client_id: str, execution_id: int) -> str:
    """`executionReport`: one execution of one order, as it stands now.

    `execution` is the type `x`: NEW, CANCELED, REPLACED, REJECTED, TRADE or EXPIRED. `original_client_id` is `C`, "" unless
    the client order id has just changed. (That an amendment fills `C` as a cancel does is by analogy; the documents show none.)
    """
    report: Json = {
        "e": "executionReport",
        "E": now_ms(),
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": amount(order.quantity),
        "p": amount(order.price),
        "P": amount(ZERO),
        "F": amount(ZERO),
        "g": -1,
        "C": original_client_id,
        "x": execution,
        "X": order.status,
        "r": order.reject_reason,
        "i": order.order_id,
        "l": amount(fill.quantity if fill else ZERO),
        "z": amount(order.filled),
        "L": amount(fill.price if fill else ZERO),
        "n": amount(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": order.updated,
        "t": fill.trade_id if fill else -1,
        "I": execution_id,
        "w": execution == "NEW" or (order.resting and order.is_open),
        "m": fill.maker if fill else False,
        "M": fill is not None,
        "O": order.created,
        "Z": amount(order.quote),
        "Y": amount(fill.quantity * fill.price if fill else ZERO),
        "Q": amount(ZERO),
    }
    if execution != "REJECTED":
        report["W"] = order.created
    report["V"] = "NONE"
    if order.expiry_reason:
        report["eR"] = order.expiry_reason
    return dumps(report)


def account_position(account: Account, assets: Iterable[str]) -> str:
    """`outboundAccountPosition`: free and locked balance of the assets that have moved."""
    balances = [{"a": a, "f": amount(account.free[a]), "l": amount(account.locked[a])} for a in assets]
    return dumps({"e": "outboundAccountPosition", "E": now_ms(), "u": now_ms(), "B": balances})


# --- WebSocket API --------------------------------------------------------------------------------------------------------


def response(request_id: object, result: object, limits: list[Json] | None) -> str:
    """A request that succeeded. `limits` is left out when None."""
    message: Json = {"id": request_id, "status": 200, "result": result}
    if limits is not None:
        message["rateLimits"] = limits
    return dumps(message)


def error(request_id: object, status: int, code: int, text: str, limits: list[Json] | None, data: Json | None = None) -> str:
    """A request that failed: HTTP-like `status`, error code, message, and `data` where one part of it failed."""
    failure: Json = {"code": code, "msg": text}
    if data is not None:
        failure["data"] = data
    message: Json = {"id": request_id, "status": status, "error": failure}
    if limits is not None:
        message["rateLimits"] = limits
    return dumps(message)


def refusal(failed: Failed) -> Json:
    """A refusal inside a cancel-replace response."""
    return {"code": failed.code, "msg": failed.message}


def placed(order: Order, response_type: str) -> Json:
    """Result of `order.place`: `response_type` is ACK, RESULT or FULL."""
    result: Json = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated,
    }
    if response_type == "ACK":
        return result
    result |= _state(order) | {"workingTime": order.created}
    if response_type == "FULL":
        result["fills"] = [
            {
                "price": amount(fill.price),
                "qty": amount(fill.quantity),
                "commission": amount(fill.fee),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in order.fills
        ]
    result["selfTradePreventionMode"] = "NONE"
    if order.expiry_reason:
        result["expiryReason"] = order.expiry_reason
    return result


def canceled(order: Order, original_client_id: str) -> Json:
    """Result of `order.cancel`."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": original_client_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated,
        **_state(order),
        "selfTradePreventionMode": "NONE",
    }


def amended(order: Order, original_client_id: str, execution_id: int) -> Json:
    """Result of `order.amend.keepPriority`; note that it says `qty` and `cumulativeQuoteQty` where others do not."""
    return {
        "transactTime": order.updated,
        "executionId": execution_id,
        "amendedOrder": {
            "symbol": order.symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "origClientOrderId": original_client_id,
            "clientOrderId": order.client_order_id,
            "price": amount(order.price),
            "qty": amount(order.quantity),
            "executedQty": amount(order.filled),
            "preventedQty": amount(ZERO),
            "quoteOrderQty": amount(ZERO),
            "cumulativeQuoteQty": amount(order.quote),
            "status": order.status,
            "timeInForce": order.time_in_force,
            "type": order.type,
            "side": order.side,
            "workingTime": order.created,
            "selfTradePreventionMode": "NONE",
        },
    }


def _state(order: Order) -> Json:
    return {
        "price": amount(order.price),
        "origQty": amount(order.quantity),
        "executedQty": amount(order.filled),
        "origQuoteOrderQty": "0.000000",  # six decimals in the documents, too
        "cummulativeQuoteQty": amount(order.quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }


# --- market data ----------------------------------------------------------------------------------------------------------


def book_ticker(symbol: str, update_id: int, bid: tuple[Decimal, Decimal], ask: tuple[Decimal, Decimal]) -> str:
    """`<symbol>@bookTicker`: best bid and ask as (price, quantity)."""
    top = {"b": amount(bid[0]), "B": amount(bid[1]), "a": amount(ask[0]), "A": amount(ask[1])}
    return dumps({"u": update_id, "s": symbol, **top})


def trade(symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> str:
    """`<symbol>@trade`: one trade between anybody."""
    what = {"t": trade_id, "p": amount(price), "q": amount(quantity), "T": at, "m": buyer_is_maker, "M": True}
    return dumps({"e": "trade", "E": now_ms(), "s": symbol, **what})


def depth_update(symbol: str, first: int, last: int, bids: Mapping[Decimal, Decimal], asks: Mapping[Decimal, Decimal]) -> str:
    """`<symbol>@depth`: levels that changed since the last one, with their new quantity; 0 removes the level."""
    sides = {key: [[amount(p), amount(q)] for p, q in levels.items()] for key, levels in (("b", bids), ("a", asks))}
    return dumps({"e": "depthUpdate", "E": now_ms(), "s": symbol, "U": first, "u": last, **sides})

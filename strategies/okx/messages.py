"""What OKX pushes: one function a message, no state. Numbers are strings without trailing zeros, times ms as strings.

Source: https://www.okx.com/docs-v5/en/, Order channel, Fills channel, Trades channel, Order book channel (bbo-tbt), Instruments
channel. Fees are below zero where they are paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from strategies.accounts import ZERO
from strategies.dialect import Json, Top, dumps
from strategies.instruments import Instrument
from strategies.orders import Fill, Order, now_ms
from strategies.position import Side

SIDES: Final[dict[Side, str]] = {"BUY": "buy", "SELL": "sell"}
STATES: Final = {"NEW": "live", "PARTIALLY_FILLED": "partially_filled", "FILLED": "filled"}
"""All else is `canceled`."""
EXPIRIES: Final = {
    "UNFILLED_FOK_ORDER_EXPIRED": ("13", "Order canceled: FOK order was canceled due to incompletely filled"),
    "UNFILLED_IOC_QUANTITY_EXPIRED": ("14", "Order canceled: IOC order was partially canceled due to incompletely filled"),
    "INSUFFICIENT_LIQUIDITY": ("14", "Order canceled: IOC order was partially canceled due to incompletely filled"),
    "POST_ONLY_WOULD_TAKE": ("31", "The post-only order will take liquidity in maker orders"),
}
"""`cancelSource` and its reason, where it was not the user."""
BY_USER: Final = ("1", "Order canceled by user")


def number(value: Decimal) -> str:
    """Digits as OKX writes them."""
    return f"{value.normalize():f}"


def order_type(order: Order) -> str:
    """`ordType`, which is type and time in force at once."""
    if order.type == "LIMIT":
        return {"GTC": "limit", "IOC": "ioc", "FOK": "fok"}[order.time_in_force]
    return "post_only" if order.type == "LIMIT_MAKER" else "market"


def order_push(order: Order, execution: str, fill: Fill | None) -> str:
    """One order of the order channel, as it stands now, with the fill that brought it there."""
    source, reason = ("", "")
    if execution in ("CANCELED", "EXPIRED"):
        source, reason = EXPIRIES.get(order.expiry_reason, BY_USER)
    fees = sum((one.fee for one in order.fills), ZERO)
    row: Json = {
        "accFillSz": number(order.filled),
        "algoClOrdId": "",
        "algoId": "",
        "amendResult": "0" if execution == "REPLACED" else "",
        "amendSource": "1" if execution == "REPLACED" else "",
        "attachAlgoClOrdId": "",
        "attachAlgoOrds": [],
        "avgPx": _average(order),
        "cTime": str(order.created),
        "cancelSource": source,
        "cancelSourceReason": reason,
        "category": "normal",
        "ccy": "",
        "clOrdId": order.client_order_id,
        "code": "0",
        "execType": _liquidity(fill) if fill else "",
        "fee": number(-fees),
        "feeCcy": order.fills[0].fee_asset if order.fills else "",
        "fillFee": number(-fill.fee) if fill else "0",
        "fillFeeCcy": fill.fee_asset if fill else "",
        "fillNotionalUsd": number(fill.price * fill.quantity) if fill else "",
        "fillPnl": "0",
        "fillPx": number(fill.price) if fill else "",
        "fillSz": number(fill.quantity) if fill else "0",
        "fillTime": str(fill.time) if fill else "",
        "instId": order.symbol,
        "instType": "SPOT",
        "lever": "0",
        "msg": "",
        "ordId": str(order.order_id),
        "ordType": order_type(order),
        "pnl": "0",
        "posSide": "",
        "px": "" if order.type == "MARKET" else number(order.price),
        "rebate": "0",
        "rebateCcy": "",
        "reduceOnly": "false",
        "reqId": "",
        "side": SIDES[order.side],
        "source": "",
        "state": STATES.get(order.status, "canceled"),
        "stpMode": "",
        "sz": number(order.quantity),
        "tag": "",
        "tdMode": "cash",
        "tgtCcy": "base_ccy" if order.type == "MARKET" else "",
        "tradeId": str(fill.trade_id) if fill else "",
        "uTime": str(order.updated),
    }
    return dumps([row])


def fill_push(order: Order, fill: Fill) -> str:
    """One fill of the fills channel, which does not say the fee."""
    row: Json = {
        "instId": order.symbol,
        "fillSz": number(fill.quantity),
        "fillPx": number(fill.price),
        "side": SIDES[fill.side],
        "ts": str(fill.time),
        "ordId": str(fill.order_id),
        "clOrdId": order.client_order_id,
        "tradeId": str(fill.trade_id),
        "execType": _liquidity(fill),
        "count": "1",
    }
    return dumps([row])


def _average(order: Order) -> str:
    return number((order.quote / order.filled).quantize(Decimal("1e-12"))) if order.filled else "0"


def _liquidity(fill: Fill) -> str:
    return "M" if fill.maker else "T"


# --- market data ----------------------------------------------------------------------------------------------------------


def best_prices(update_id: int, bid: Top, ask: Top) -> str:
    """Channel `bbo-tbt`: best ask and bid, with the number of orders there."""
    levels = {name: [[number(price), number(size), "0", "1"]] for name, (price, size) in (("asks", ask), ("bids", bid))}
    return dumps([levels | {"ts": str(now_ms()), "checksum": 0, "seqId": update_id}])


def trade(symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> str:
    """Channel `trades`: a trade between anybody; the side is the taker's."""
    what = {"instId": symbol, "tradeId": str(trade_id), "px": number(price), "sz": number(quantity)}
    return dumps([what | {"side": "sell" if buyer_is_maker else "buy", "ts": str(at), "count": "1", "source": "0"}])


def instrument_list(instruments: Mapping[str, Instrument]) -> str:
    """Channel `instruments`: what is traded, with the number that orders name it by."""
    rows = [
        {
            "instType": "SPOT",
            "instId": symbol,
            "instIdCode": one.code,
            "baseCcy": one.base,
            "quoteCcy": one.quote,
            "tickSz": number(one.tick),
            "lotSz": number(one.lot),
            "minSz": number(one.lot),
            "state": "live",
        }
        for symbol, one in instruments.items()
    ]
    return dumps(rows)

"""What OKX says of orders and fills: the order, algo order, spread and fills channels, and the like answers to queries.

Docs: https://www.okx.com/docs-v5/en/ (Order Book Trading: Trade, Algo Trading; Spread Trading).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeAlias

from sniffer.exchanges.base import Rows
from sniffer.exchanges.fields import (
    amount,
    identity,
    mapped,
    number,
    optional_amount,
    optional_number,
    optional_text,
    text,
    time,
)
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, Broken

SIDES: Final = {"buy": "buy", "sell": "sell"}
LIQUIDITY: Final = {"T": "taker", "M": "maker"}
STATES: Final = {
    "live": "NEW",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "mmp_canceled": "CANCELED",
}
ALGO_STATES: Final = {
    "live": "PENDING_TRIGGER",
    "canceled": "CANCELED",
    "order_failed": "REJECTED",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
}
"""An algo order that has triggered (`effective`) lives on as an order of its own, for which there is no word here."""
TERMS: Final = {
    "limit": ("limit", None),
    "market": ("market", None),
    "post_only": ("limit", "post_only"),
    "fok": ("limit", "fok"),
    "ioc": ("limit", "ioc"),
    "optimal_limit_ioc": ("market", "ioc"),
    "op_fok": ("limit", "fok"),
    "mmp": ("limit", None),
    "mmp_and_post_only": ("limit", "post_only"),
    "move_order_stop": ("trailing_stop", None),
}
"""Order type and time in force of an `ordType`; the other algo types keep their word (trigger, oco, iceberg, twap, chase)."""
AT_MARKET: Final = ("-1", -1)
"""What stands for the price of an algo order that is executed at market."""
Legs: TypeAlias = tuple[tuple[str, str], ...]
LEGS: Final[Legs] = (
    ("ordPx", "triggerPx"), ("slOrdPx", "slTriggerPx"), ("tpOrdPx", "tpTriggerPx"), ("ordPx", "moveTriggerPx"),
)  # fmt: skip
"""Limit and trigger of each leg of an algo order, by their names."""


def terms(row: Row) -> tuple[str | None, str | None]:
    """Order type and time in force; a word that is not known in lower case."""
    word = optional_text(row, "ordType")
    if word is None:
        return None, None
    if word == "conditional":  # one leg: where both are sent, "only stop-loss logic will be performed"
        take = _said(row, "tpTriggerPx") and not _said(row, "slTriggerPx")
        at_market = row.get("tpOrdPx" if take else "slOrdPx") in AT_MARKET
        return ("take_profit" if take else "stop") + ("" if at_market else "_limit"), None
    return TERMS.get(word, (word.lower(), None))


def unit(row: Row, symbol: str | None) -> str | None:
    """What an order's `sz` counts: contracts of derivatives; else base currency, or quote currency in some market orders.

    Without `tgtCcy` a market order to buy is for an amount of quote currency, one to sell of base currency. The type of an
    instrument can be told from its name (BTC-USDT, BTC-USDT-SWAP); a spread's (two names joined by _) counts either.
    """
    kind = filled_unit(row, symbol)
    if kind != "base":
        return kind
    target = row.get("tgtCcy")
    bought_at_market = row.get("ordType") == "market" and row.get("side") == "buy"
    return "quote" if target == "quote_ccy" or (target in (None, "") and bought_at_market) else "base"


def filled_unit(row: Row, symbol: str | None) -> str | None:
    """What the filled quantities of an order count: contracts, or always base currency."""
    kind = row.get("instType")
    if kind in ("SPOT", "MARGIN"):
        return "base"
    if kind in ("SWAP", "FUTURES", "OPTION"):
        return "contract"
    dashes = symbol.count("-") if symbol and "_" not in symbol else 0
    return "base" if dashes == 1 else "contract" if dashes > 1 else None


def order(rows: Rows, kind: str, row: Row, *, spread: bool = False) -> str | None:
    """Adds the state of an order, as `sz` and `state` tell it; returns what keeps its fill from being read, if anything."""
    symbol = text(row, "sprdId" if spread else "instId")
    order_type, time_in_force = terms(row)
    state = text(row, "state")
    size = amount(row, "sz")
    reason = optional_text(row, "cancelSourceReason") or identity(row, "cancelSource") if "cancel" in state else None
    code = row.get("code")
    said = rows.order(
        kind,
        exchange_time=time(row, "uTime", MILLISECONDS),
        symbol=symbol,
        client_order_id=optional_text(row, "clOrdId"),
        order_id=text(row, "ordId"),
        side=mapped(row, "side", SIDES),
        order_type=order_type,
        time_in_force=time_in_force,
        status=STATES.get(state),
        status_raw=state,
        price=optional_number(row, "px") if spread else optional_amount(row, "px"),
        quantity=size,
        quantity_unit=unit(row, symbol),
        filled_quantity=optional_amount(row, "accFillSz"),
        average_price=optional_number(row, "avgPx") if spread else optional_amount(row, "avgPx"),
        reason=optional_text(row, "msg") if code not in (None, "", "0") else reason,
    )
    if kind != "update" or spread:  # of other messages the fill is the latest, not a new one; a spread's may still fail
        return None
    filled = optional_amount(row, "fillSz")
    if not filled:
        return None
    fee, fee_asset = _fee_of_push(row, filled, said.filled_quantity)
    try:
        rows.fill(
            exchange_time=time(row, "fillTime", MILLISECONDS),
            symbol=symbol,
            trade_id=_trade_id(row),
            order_id=said.order_id,
            client_order_id=said.client_order_id,
            side=said.side,
            price=amount(row, "fillPx"),
            quantity=filled,
            quantity_unit=filled_unit(row, symbol),
            fee=fee,
            fee_asset=fee_asset,
            liquidity=LIQUIDITY.get(optional_text(row, "execType") or ""),
        )
    except Broken as error:
        return str(error)
    return None


def _fee_of_push(row: Row, filled: Decimal, total: Decimal | None) -> tuple[Decimal | None, str | None]:
    """Fee and its currency: of this fill, or of the order as long as this fill is all of it."""
    if row.get("fillFee") not in (None, ""):
        return paid(row, "fillFee"), optional_text(row, "fillFeeCcy")
    if filled == total and row.get("rebate") in (None, "", "0"):
        return paid(row, "fee"), optional_text(row, "feeCcy")
    return None, None


def paid(row: Row, key: str) -> Decimal | None:
    """A fee, which OKX writes below zero where it is paid."""
    value = optional_number(row, key)
    return value.copy_negate() if value else value


def _trade_id(row: Row) -> str:
    value = identity(row, "tradeId")
    if value is None:
        raise Broken("field tradeId is missing")
    return value


def fill(rows: Rows, row: Row, *, spread: bool = False) -> None:
    """Adds a fill, of the fills channel or of an answer to a query. `ts` is the time of older ones that have no `fillTime`."""
    if spread and row.get("state") != "filled":  # a spread trade that was rejected is none
        raise Broken("a spread trade that is not filled")
    symbol = text(row, "sprdId" if spread else "instId")
    rows.fill(
        exchange_time=time(row, "fillTime" if row.get("fillTime") else "ts", MILLISECONDS),
        symbol=symbol,
        trade_id=_trade_id(row),
        order_id=text(row, "ordId"),
        client_order_id=optional_text(row, "clOrdId"),
        side=mapped(row, "side", SIDES),
        price=number(row, "fillPx") if spread else amount(row, "fillPx"),
        quantity=amount(row, "fillSz"),
        quantity_unit=filled_unit(row, symbol),
        fee=paid(row, "fee"),
        fee_asset=optional_text(row, "feeCcy"),
        liquidity=LIQUIDITY.get(optional_text(row, "execType") or ""),
    )


def algo_order(rows: Rows, kind: str, row: Row) -> None:
    """Adds the state of an algo order (trigger, take profit, trailing...), which has ids of its own, `algoId`..."""
    symbol = text(row, "instId")
    order_type, time_in_force = terms(row)
    price, stop_price = algo_prices(row)
    state = text(row, "state")
    failure = identity(row, "failCode")
    rows.order(
        kind,
        exchange_time=time(row, "uTime", MILLISECONDS) if row.get("uTime") not in (None, "") else None,
        symbol=symbol,
        client_order_id=optional_text(row, "algoClOrdId"),
        order_id=text(row, "algoId"),
        side=mapped(row, "side", SIDES),
        order_type=order_type,
        time_in_force=time_in_force,
        status=ALGO_STATES.get(state),
        status_raw=state,
        price=price,
        stop_price=stop_price,
        quantity=optional_amount(row, "sz"),
        quantity_unit=unit(row, symbol),
        reason=None if failure == "0" else failure,
    )


def algo_prices(row: Row, legs: Legs = LEGS) -> tuple[Decimal | None, Decimal | None]:
    """Limit and trigger of an algo order, both of one leg: the first whose trigger is said, else the first whose limit is.

    Of an order with two legs (oco) it is the stop loss. The limit is None where the order is executed at market.
    """
    said = [leg for leg in legs if _said(row, leg[1])] or [leg for leg in legs if _said(row, leg[0])]
    return (_price(row, said[0][0]), _price(row, said[0][1])) if said else (None, None)


def _said(row: Row, key: str) -> bool:
    return row.get(key) not in (None, "", "0")


def _price(row: Row, key: str) -> Decimal | None:
    return amount(row, key) if _said(row, key) and row[key] not in AT_MARKET else None

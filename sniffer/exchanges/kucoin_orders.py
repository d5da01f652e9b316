"""What KuCoin says of orders and fills: classic topics, unified channels, and the answers to queries.

Docs: https://www.kucoin.com/docs-new/ (Classic and Pro WebSocket: private channels; Get Order; Get Trade History) and
https://www.kucoin.com/docs/websocket/spot-trading/private-channels/private-order-change-v2.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sniffer.exchanges.base import RESPONSE, UPDATE, Rows
from sniffer.exchanges.fields import amount, identity, mapped, optional_amount, optional_number, optional_text, text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MICROSECONDS, MILLISECONDS, NANOSECONDS, SECONDS, Broken, decimal, time_ns

SIDES: Final = {"buy": "buy", "sell": "sell", "BUY": "buy", "SELL": "sell"}
ROLES: Final = {"taker": "taker", "maker": "maker", "TAKER": "taker", "MAKER": "maker"}
TIMES_IN_FORCE: Final = {"GTC": "gtc", "GTT": "gtd", "IOC": "ioc", "FOK": "fok"}
STATES: Final = {
    0: "PENDING_TRIGGER",
    2: "NEW",
    3: "FILLED",
    4: "PARTIALLY_FILLED",
    5: "CANCELED",
    6: "CANCELED",
}
"""Of unified orders; 6 has been filled in part. 1 has triggered, and goes on as another order."""
STOP_STATES: Final = {"open": "PENDING_TRIGGER", "cancel": "CANCELED"}
UNITS: Final = {"BASECCY": "base", "QUOTECCY": "quote", "UNIT": "contract"}
_UNITS_OF_TIME: Final = ((10**17, NANOSECONDS), (10**14, MICROSECONDS), (10**11, MILLISECONDS), (0, SECONDS))
"""From what size on a time is counted in which unit: each is right for the years 1973 to 5138."""


def unit_of(symbol: str | None) -> str | None:
    """Spot symbols are two currencies and a hyphen (BTC-USDT); contracts have none (XBTUSDTM) and are traded by number."""
    return None if symbol is None else "base" if "-" in symbol else "contract"


def moment(row: Row, *keys: str) -> int | None:
    """The first of the times that is said; its unit can be told from its size, and differs from message to message."""
    for key in keys:
        if (value := row.get(key)) in (None, "", 0):
            continue
        try:
            size = value if type(value) is int else decimal(value)
            return time_ns(value, next(unit for least, unit in _UNITS_OF_TIME if size >= least))
        except StopIteration:
            raise Broken(f"field {key}: a time out of range") from None
        except Broken as error:
            raise Broken(f"field {key}: {error}") from None
    return None


def time_in_force(row: Row, key: str = "timeInForce", post_key: str = "postOnly") -> str | None:
    """Time in force; post-only where that is asked for; a word that is not known in lower case."""
    if row.get(post_key) is True:
        return "post_only"
    word = optional_text(row, key)
    return TIMES_IN_FORCE.get(word, word.lower()) if word else None


def size_of(row: Row, symbol: str | None, *keys: str) -> tuple[Decimal | None, str | None]:
    """Quantity and its unit: the amount of quote currency (`funds`) of market orders that are placed for one."""
    size = next((amount(row, key) for key in keys if row.get(key) not in (None, "")), None)
    if not size:
        funds = next((amount(row, key) for key in ("originFunds", "funds") if row.get(key) not in (None, "")), None)
        if funds:
            return funds, "quote"
    return size, None if size is None else unit_of(symbol)


def lower(row: Row, key: str) -> str | None:
    """A word in lower case."""
    word = optional_text(row, key)
    return word.lower() if word else None


# --- classic topics ---


def change(rows: Rows, row: Row) -> None:
    """A message of the order topics: a fill where it is a match, else the order's state.

    A match that leaves nothing is followed by `filled`, which tells the order's end; one that leaves something tells the order
    too, since nothing follows it.
    """
    event = text(row, "type")
    symbol, order_id = text(row, "symbol"), text(row, "orderId")
    side = mapped(row, "side", SIDES)
    at = moment(row, "ts")
    client_order_id = optional_text(row, "clientOid")
    match: dict[str, Any] | None = None
    if event == "match":
        if (trade_id := identity(row, "tradeId")) is None:
            raise Broken("field tradeId is missing")
        match = {
            "trade_id": trade_id,
            "price": amount(row, "matchPrice"),
            "quantity": amount(row, "matchSize"),
            "quantity_unit": unit_of(symbol),
            "liquidity": ROLES.get(optional_text(row, "liquidity") or ""),
        }
    remaining = optional_amount(row, "remainSize")
    if match is None or remaining:
        quantity, unit = size_of(row, symbol, "size", "originSize")
        filled = optional_amount(row, "filledSize")
        rows.order(
            UPDATE,
            exchange_time=at,
            symbol=symbol,
            client_order_id=client_order_id,
            order_id=order_id,
            side=side,
            order_type=lower(row, "orderType"),
            status=_status(event, optional_text(row, "status"), filled),
            status_raw=event,
            price=optional_amount(row, "price"),
            quantity=quantity,
            quantity_unit=unit,
            filled_quantity=filled,
        )
    if match is not None:
        rows.fill(
            exchange_time=at, symbol=symbol, order_id=order_id, client_order_id=client_order_id, side=side, **match
        )  # fmt: skip


def _status(event: str, state: str | None, filled: Decimal | None) -> str | None:
    """`type` tells what happened, `status` where the order stands."""
    if event == "received":
        return "PENDING_NEW"
    if event == "filled":
        return "FILLED"
    if event == "canceled" or (event == "update" and state == "done"):
        return "CANCELED"
    if event in ("open", "match", "update"):
        return "PARTIALLY_FILLED" if filled else "NEW"
    return None


def stop_order(rows: Rows, row: Row) -> None:
    """A message of the stop order topics. What a trigger brings forth is an order of its own."""
    event, symbol = text(row, "type"), text(row, "symbol")
    price = optional_amount(row, "orderPrice")
    failed = event == "triggered" and row.get("triggerSuccess") is False
    quantity, unit = size_of(row, symbol, "size")
    rows.order(
        UPDATE,
        exchange_time=moment(row, "ts"),
        symbol=symbol,
        client_order_id=optional_text(row, "clientOid"),
        order_id=text(row, "orderId"),
        side=mapped(row, "side", SIDES),
        order_type="stop_limit" if price else "stop",
        status="REJECTED" if failed else STOP_STATES.get(event),
        status_raw=event,
        price=price,
        stop_price=optional_amount(row, "stopPrice"),
        quantity=quantity,
        quantity_unit=unit,
        reason=optional_text(row, "error") if failed else None,
    )


# --- unified channels ---


def unified_order(rows: Rows, row: Row) -> None:
    """A message of the channel `orderAll`. Its last fill is told by the channel `execution`."""
    state = row.get("os")
    if type(state) is not int:
        raise Broken("field os: not a whole number")
    rows.order(
        UPDATE,
        exchange_time=moment(row, "U", "O"),
        symbol=text(row, "s"),
        client_order_id=optional_text(row, "ci"),
        order_id=text(row, "oi"),
        side=mapped(row, "S", SIDES),
        order_type=lower(row, "oT"),
        time_in_force=time_in_force(row, "tIF", "pO"),
        status=STATES.get(state),
        status_raw=str(state),
        price=optional_amount(row, "p"),
        stop_price=optional_amount(row, "tP"),
        quantity=optional_amount(row, "q"),
        quantity_unit=UNITS.get(optional_text(row, "qU") or ""),
        filled_quantity=optional_amount(row, "fS"),
        average_price=optional_amount(row, "aP"),
        reason=optional_text(row, "cR"),
    )


def unified_fill(rows: Rows, row: Row) -> None:
    """A message of the channel `execution`."""
    symbol, trade_id = text(row, "s"), identity(row, "ti")
    if trade_id is None:
        raise Broken("field ti is missing")
    rows.fill(
        exchange_time=moment(row, "E"),
        symbol=symbol,
        trade_id=trade_id,
        order_id=text(row, "oi"),
        client_order_id=optional_text(row, "ci"),
        side=mapped(row, "S", SIDES),
        price=amount(row, "p"),
        quantity=amount(row, "q"),
        quantity_unit=unit_of(symbol),
        fee=optional_number(row, "f"),
        fee_asset=optional_text(row, "fC"),
        liquidity=ROLES.get(optional_text(row, "lR") or ""),
    )


# --- answers to queries ---


def queried_order(rows: Rows, row: Row) -> None:
    """An order as the answers to queries show it."""
    symbol = text(row, "symbol")
    filled_key = next((key for key in ("filledSize", "dealSize") if row.get(key) not in (None, "")), "dealSize")
    filled = optional_amount(row, filled_key)
    status, raw = _queried_status(row, filled)
    quantity, unit = size_of(row, symbol, "size")
    order_id = identity(row, "orderId" if "orderId" in row else "id")
    if order_id is None:
        raise Broken("field id is missing")
    rows.order(
        RESPONSE,
        exchange_time=moment(row, "updatedTime", "lastUpdatedAt", "updatedAt"),
        symbol=symbol,
        client_order_id=optional_text(row, "clientOid"),
        order_id=order_id,
        side=mapped(row, "side", SIDES),
        order_type=lower(row, "orderType" if "orderType" in row else "type"),
        time_in_force=time_in_force(row),
        status=status,
        status_raw=raw,
        price=optional_amount(row, "price"),
        stop_price=optional_amount(row, "triggerPrice" if "triggerPrice" in row else "stopPrice"),
        quantity=quantity,
        quantity_unit=UNITS.get(optional_text(row, "sizeUnit") or "", unit),
        filled_quantity=filled,
        average_price=optional_amount(row, "avgPrice" if "avgPrice" in row else "avgDealPrice"),
        reason=optional_text(row, "cancelReason"),
    )


def _queried_status(row: Row, filled: Decimal | None) -> tuple[str | None, str | None]:
    state = row.get("status")
    if type(state) is int:
        return STATES.get(state), str(state)
    raw = optional_text(row, "status")
    if raw == "NEW":  # a stop order that waits
        return "PENDING_TRIGGER", raw
    active = row.get("isActive", row.get("active"))
    if type(active) is not bool:
        return None, raw
    if active:
        return "PARTIALLY_FILLED" if filled else "NEW", raw
    return "CANCELED" if row.get("cancelExist") is True else "FILLED", raw


def told_fill(rows: Rows, row: Row) -> None:
    """A trade as the answers to queries show it, and the topic `/spot/tradeFills`."""
    symbol, trade_id = text(row, "symbol"), identity(row, "tradeId")
    if trade_id is None:
        raise Broken("field tradeId is missing")
    rows.fill(
        exchange_time=moment(row, "executionTime", "tradeTime", "createdAt", "time"),
        symbol=symbol,
        trade_id=trade_id,
        order_id=identity(row, "orderId"),
        side=mapped(row, "side", SIDES),
        price=amount(row, "price"),
        quantity=amount(row, "size"),
        quantity_unit=unit_of(symbol),
        fee=optional_number(row, "fee"),
        fee_asset=optional_text(row, "feeCurrency"),
        liquidity=ROLES.get(optional_text(row, "liquidity" if "liquidity" in row else "liquidityRole") or ""),
    )

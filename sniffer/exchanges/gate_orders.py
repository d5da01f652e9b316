"""What Gate says of orders and fills: spot in currency, contracts in a number whose sign is the side.

The same objects stand in pushes, in answers of the WebSocket API and in REST. Docs: https://www.gate.com/docs/developers/apiv4/ws/en/
(Orders, User Trades, Order Place), .../futures/ws/en/ and .../apiv4/en/.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sniffer.exchanges.base import Rows
from sniffer.exchanges.fields import amount, identity, mapped, number, optional_amount, optional_number, optional_text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, SECONDS, Broken, difference, time_ns

SIDES: Final = {"buy": "buy", "sell": "sell"}
ROLES: Final = {"maker": "maker", "taker": "taker"}
TIMES_IN_FORCE: Final = {"gtc": "gtc", "ioc": "ioc", "fok": "fok", "poc": "post_only"}
CANCELS: Final = frozenset(
    (
        "cancelled", "liquidate_cancelled", "small", "depth_not_enough", "trader_not_enough", "ioc", "poc", "fok", "stp",
        "reduce_only", "position_closed", "reduce_out", "mmp_cancelled", "liquidated", "auto_deleveraged",
    )
)  # fmt: skip
"""Ways in which an order ends (`finish_as`) that leave a part of it unfilled."""
OPEN: Final = (None, "", "open", "_new", "_update", "-")
_MILLISECONDS_FROM: Final = 10**11
"""As seconds, a time this large is after the year 5138; as milliseconds, after March 1973."""


def is_spot(row: Row) -> bool:
    """Whether an order or a trade is of the spot market; contracts have `contract` in the place of `currency_pair`."""
    return "contract" not in row


def symbol(row: Row) -> str | None:
    """The currency pair or the contract."""
    return optional_text(row, "currency_pair" if is_spot(row) else "contract")


def side_of(size: Decimal) -> str | None:
    """Contracts are bought where their number is above zero; 0 (the whole position) has no side."""
    return ("sell" if size.is_signed() else "buy") if size else None


def size_of(row: Row) -> tuple[Decimal, str | None, str | None, str]:
    """(quantity, its unit, side, order type) of an order: a market order to buy on spot is for an amount of quote currency."""
    if not is_spot(row):
        size = number(row, "size")
        price = optional_amount(row, "price")
        return size.copy_abs(), "contract", side_of(size), "limit" if price else "market"
    order_type = optional_text(row, "type") or "limit"  # "limit: default"
    side = mapped(row, "side", SIDES)
    return amount(row, "amount"), "quote" if (order_type, side) == ("market", "buy") else "base", side, order_type.lower()


def time_in_force(row: Row) -> str | None:
    """Time in force; a word that is not known in lower case."""
    word = optional_text(row, "time_in_force" if is_spot(row) else "tif")
    return TIMES_IN_FORCE.get(word, word.lower()) if word else None


def client_id(row: Row) -> str | None:
    """`text`: the trader's own (t-...), or where the order came from (api, web...); a dash is none."""
    value = optional_text(row, "text")
    return None if value == "-" else value


def order(rows: Rows, kind: str, row: Row, **said: Any) -> None:
    """Adds the state of an order; `said` holds columns that its envelope tells."""
    quantity, unit, side, order_type = size_of(row)
    left = optional_number(row, "left")
    left = None if left is None else left.copy_abs()
    filled = optional_amount(row, "filled_amount")
    if filled is None and left is not None and unit != "quote" and left <= quantity:
        filled = difference(quantity, left)
    status = _status(row, quantity, left)
    finish = optional_text(row, "finish_as")
    name = symbol(row)
    if name is None:
        raise Broken("field currency_pair or contract is missing")
    columns: dict[str, Any] = {
        "exchange_time": _updated(row, quantity == left),
        "symbol": name,
        "client_order_id": client_id(row),
        "order_id": identity(row, "id"),
        "side": side,
        "order_type": order_type,
        "time_in_force": time_in_force(row),
        "status": status,
        "status_raw": optional_text(row, "event") or optional_text(row, "status") or finish,
        "price": optional_amount(row, "price"),
        "quantity": quantity,
        "quantity_unit": unit,
        "filled_quantity": filled,
        "average_price": optional_amount(row, "avg_deal_price" if is_spot(row) else "fill_price"),
        "reason": finish if status == "CANCELED" else None,
    }
    if columns["order_id"] is None:
        raise Broken("field id is missing")
    rows.order(kind, **columns, **said)


def _status(row: Row, quantity: Decimal, left: Decimal | None) -> str | None:
    """`finish_as` tells how an order ended, `status` (and in pushes `event`) whether; how far it has come, what is left."""
    finish, state, event = (optional_text(row, key) for key in ("finish_as", "status", "event"))
    if finish == "filled":
        return "FILLED"
    if finish not in OPEN:
        return "CANCELED" if finish in CANCELS or state == "cancelled" else None
    if state == "cancelled":
        return "CANCELED"
    if state == "closed":
        return "FILLED"
    if event == "finish" or state == "finished":  # of older messages that do not tell how
        return None if left is None else "CANCELED" if left else "FILLED"
    if event not in (None, "put", "update") or state not in (None, "open") or (event, state, finish) == (None, None, None):
        return None
    return "PARTIALLY_FILLED" if left is not None and left < quantity else "NEW"


def _updated(row: Row, untouched: bool) -> int | None:
    """When the order took this state: the time of its update, or of its end, or of its creation while nothing else has been."""
    for key in ("update_time_ms", "update_time", "finish_time_ms", "finish_time"):
        if row.get(key) not in (None, "", 0, "0"):
            return moment(row, key)
    return moment(row, "create_time_ms", "create_time") if untouched else None


def moment(row: Row, *keys: str) -> int | None:
    """The first of the times that is said: milliseconds, or seconds with a fraction, which their size tells apart."""
    for key in keys:
        value = row.get(key)
        if value in (None, ""):
            continue
        unit = MILLISECONDS if number(row, key) >= _MILLISECONDS_FROM else SECONDS
        try:
            return time_ns(value, unit)
        except Broken as error:
            raise Broken(f"field {key}: {error}") from None
    return None


def fill(rows: Rows, row: Row) -> None:
    """Adds a trade of the user."""
    spot = is_spot(row)
    size = amount(row, "amount") if spot else number(row, "size")
    name, trade_id = symbol(row), identity(row, "id")
    if not size or name is None or trade_id is None:
        raise Broken("a trade without a size, a market or an id")
    fee, fee_asset = optional_number(row, "fee"), optional_text(row, "fee_currency")
    in_tokens = optional_number(row, "gt_fee")
    if not fee and in_tokens:
        fee, fee_asset = in_tokens, "GT"
    rows.fill(
        exchange_time=moment(row, "create_time_ms", "create_time"),
        symbol=name,
        trade_id=trade_id,
        order_id=identity(row, "order_id" if "order_id" in row else "order"),
        client_order_id=client_id(row),
        side=mapped(row, "side", SIDES) if spot else side_of(size),
        price=amount(row, "price"),
        quantity=size.copy_abs(),
        quantity_unit="base" if spot else "contract",
        fee=fee,
        fee_asset=fee_asset,
        liquidity=ROLES.get(optional_text(row, "role") or ""),
    )

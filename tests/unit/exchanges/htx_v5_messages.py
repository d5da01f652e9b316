"""Messages of version 5 of HTX's USDT-M contracts, as its documentation and its SDKs have them, with values of our own."""

from __future__ import annotations

from typing import Any

from sniffer.model import Sender

JSON = dict[str, Any]
T0 = 1_781_000_000_123

TRADE, ALGO = "/v5/trade/", "/v5/algo/"
PLACE = f"POST {TRADE}order?AccessKeyId=KEY-1&Signature=s"
BATCH = f"POST {TRADE}batch_orders"
CANCEL = f"POST {TRADE}cancel_order"
CANCELS = f"POST {TRADE}cancel_batch_orders"
CANCEL_ALL = f"POST {TRADE}cancel_all_orders"
PLACE_ALGO = f"POST {ALGO}order"
CANCEL_ALGO = f"POST {ALGO}cancel_orders"

ORDER: JSON = {
    "contract_code": "ADA-USDT", "margin_mode": "cross", "position_side": "long", "side": "sell", "type": "limit",
    "price": "0.7135", "volume": "30", "reduce_only": 1, "time_in_force": "IOC", "client_order_id": "71",
}  # fmt: skip
TAKE_PROFIT: JSON = {
    "contract_code": "ADA-USDT", "margin_mode": "cross", "side": "sell", "volume": "30", "type": "tp",
    "tp_trigger_price": "0.75", "tp_order_price": "0.7495", "algo_client_order_id": "a1",
}  # fmt: skip


def notify(topic: str, data: Any) -> JSON:
    return {"op": "notify", "topic": topic, "contract_code": "ADA-USDT", "ts": T0 + 9, "uid": "35", "data": data}


def order(**changes: Any) -> JSON:
    shown: JSON = {
        **ORDER, "state": "partially_filled", "order_id": "990077", "price_match": None, "lever_rate": 10,
        "order_source": "api", "time_in_force": "gtc", "trade_avg_price": "0.7136", "trade_volume": "10",
        "trade_turnover": "71.36", "fee_currency": "USDT", "fee": "-0.0357", "tp_trigger_price": "",
        "sl_trigger_price": "", "cancel_reason": "", "created_time": str(T0 - 50), "updated_time": str(T0),
        "self_match_prevent": "cancel_taker",
    }  # fmt: skip
    return shown | changes


def matched(**changes: Any) -> JSON:
    shown: JSON = {
        **ORDER, "state": "partially_filled", "id": "44-990077-1", "order_id": "990077", "contract_type": "swap",
        "price_match": None, "cancel_reason": None, "trade_id": "4467", "trade_volume": "10", "total_trade_volume": "20",
        "trade_price": "0.7136", "trade_turnover": "71.36", "role": "maker", "created_time": str(T0 - 50),
        "match_time": str(T0),
    }  # fmt: skip
    return shown | changes


def executed(**changes: Any) -> JSON:
    shown: JSON = {
        "direction": "sell", "id": "44-990077-1", "contract_code": "ADA-USDT", "contract_type": "swap", "order_id": "990077",
        "trade_id": "4467", "position_side": "long", "trade_volume": "10", "trade_price": "0.7136", "trade_turnover": "71.36",
        "role": "taker", "client_order_id": "71", "created_time": str(T0 - 4), "updated_time": str(T0),
    }  # fmt: skip
    return shown | changes


DETAIL: JSON = {
    "id": "1513834754679549965", "contract_code": "ADA-USDT", "order_id": "990077", "trade_id": "4467", "side": "sell",
    "position_side": "long", "order_type": "1", "type": "limit", "role": "TAKER", "trade_price": "0.7136", "trade_volume": "10",
    "created_time": str(T0), "updated_time": str(T0), "fee_currency": "USDT", "trade_fee": "0.0357", "deduction_price": "",
}  # fmt: skip
ALGO_ORDER: JSON = {
    "id": "162320614", "volume": "30", "type": "sl", "state": "active", "side": "sell", "algo_id": "880",
    "algo_client_order_id": "a1", "contract_code": "ADA-USDT", "position_side": "long", "created_time": str(T0 - 5),
    "updated_time": str(T0), "sl_trigger_price": "0.69", "sl_order_price": "0", "sl_type": "market",
}  # fmt: skip


def done(data: Any) -> JSON:
    return {"code": 200, "message": "Success", "data": data, "ts": T0}


TAKEN: JSON = {"order_id": "990077", "client_order_id": "71"}
REFUSED: JSON = {"code": 1047, "message": "Insufficient margin available.", "data": None, "ts": T0}


def operation(name: str, data: Any, cid: str = "q1") -> JSON:
    return {"op": name, "cid": cid, "data": data}


MESSAGES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("htx", "server", notify("orders", order())),
    ("htx", "server", notify("match_orders", [matched()])),
    ("htx", "server", notify("algo_orders", [ALGO_ORDER])),
    ("htx", "server", notify("trade", [executed()])),
    ("htx", "client", operation("place_order", ORDER, "v1")),
    ("htx", "server", {**done(TAKEN), "cid": "v1"}),
    ("htx", "client", operation("cancel_batch_orders", {"contract_code": "ADA-USDT", "order_id": ["5", "6"]}, "v2")),
    ("htx", "server", {**done([{"orderId": "6", "clientOrderId": "6", "code": 200, "message": "Success"}]), "cid": "v2"}),
    ("htx", "client", ORDER, PLACE),
    ("htx", "server", done(TAKEN), PLACE),
    ("htx", "client", [ORDER, {**ORDER, "client_order_id": "72"}], BATCH),
    ("htx", "server", done([{**TAKEN, "code": 200}, {"client_order_id": "72", "code": 1047, "message": "no"}]), BATCH),
    ("htx", "client", TAKE_PROFIT, PLACE_ALGO),
    ("htx", "server", done([{"algo_id": "880", "algo_client_order_id": None}]), PLACE_ALGO),
    ("htx", "server", done([DETAIL]), f"GET {TRADE}order/details"),
    ("htx", "server", done([order()]), f"GET {TRADE}order/opens"),
]  # fmt: skip

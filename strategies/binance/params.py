"""Parameters of WebSocket API requests, taken out and checked. Every function raises `Failed` with the venue's own error.

API keys and signatures are checked for their shape only: there is nothing here to protect.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from strategies.binance.refusals import Failed
from strategies.dialect import Json
from strategies.orders import OrderRequest, now_ms

_KEY: Final = re.compile(r"[A-Za-z0-9]{64}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_CLIENT_ID: Final = re.compile(r"[a-zA-Z0-9-_]{1,36}")
_RECV_WINDOW: Final = 5000
"""Age in ms at which a request is too old, unless it says otherwise."""


def api_key(params: Json) -> str:
    """The API key (-2014)."""
    key = params.get("apiKey")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise Failed(-2014, "API-key format invalid.")
    return key


def signed_key(params: Json) -> str:
    """The API key of a signed request (-2014, -1022, -1021)."""
    key, signature, timestamp = api_key(params), params.get("signature"), params.get("timestamp")
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        raise Failed(-1022, "Signature for this request is not valid.")
    window = params.get("recvWindow", _RECV_WINDOW)
    if not isinstance(timestamp, int) or not isinstance(window, int) or abs(now_ms() - timestamp) > window:
        raise Failed(-1021, "Timestamp for this request is outside of the recvWindow.")
    return key


def missing(name: str) -> Failed:
    """A mandatory parameter is not there (-1102)."""
    return Failed(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def decimal(params: Json, name: str) -> Decimal:
    """A price or quantity, exactly as sent (-1102, -1100)."""
    value = params.get(name)
    if value is None:
        raise missing(name)
    if not _DECIMAL.fullmatch(str(value)):
        raise Failed(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^{_DECIMAL.pattern}$'.")
    return Decimal(str(value))


def client_id(params: Json, name: str) -> str:
    """A client order id, "" when not sent (-1100)."""
    value = params.get(name, "")
    if value and not _CLIENT_ID.fullmatch(str(value)):
        raise Failed(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^{_CLIENT_ID.pattern}$'.")
    return str(value)


def which_order(params: Json, by_id: str, by_client_id: str) -> tuple[int | None, str | None]:
    """(order id, client order id), either of them None (-1102)."""
    order_id, client_order_id = params.get(by_id), params.get(by_client_id)
    if order_id is None and client_order_id is None:
        raise Failed(-1102, f"Param '{by_client_id}' or '{by_id}' must be sent, but both were empty/null!")
    if not isinstance(order_id, int | None):
        raise missing(by_id)
    if not isinstance(client_order_id, str | None):
        raise missing(by_client_id)
    return order_id, client_order_id


def order_request(params: Json) -> OrderRequest:
    """Side, type, time in force, price, quantity and client order id of a new order (-1117, -1116, -1115, -1102, -1100)."""
    side, kind = params.get("side"), params.get("type")
    if side != "BUY" and side != "SELL":
        raise Failed(-1117, "Invalid side.")
    if kind not in ("LIMIT", "LIMIT_MAKER", "MARKET"):
        raise Failed(-1116, "Invalid orderType.")
    in_force = params.get("timeInForce", None if kind == "LIMIT" else "GTC")
    if in_force is None:
        raise missing("timeInForce")
    if in_force not in ("GTC", "IOC", "FOK"):
        raise Failed(-1115, "Invalid timeInForce.")
    price = Decimal(0) if kind == "MARKET" else decimal(params, "price")
    return OrderRequest(side, kind, in_force, price, decimal(params, "quantity"), client_id(params, "newClientOrderId"))

"""Errors as binance-spot tells them (binance-spot-api-docs, errors.md): a code and a text."""

from __future__ import annotations

from typing import Final

from strategies.orders import Refusal

UNKNOWN_TO_AMEND: Final = -2038
"""An order that is not there has a code of its own when it should have been amended."""

ERRORS: Final = {
    Refusal.ACCOUNTS: (-2015, "Invalid API-key, IP, or permissions for action."),
    Refusal.SYMBOL: (-1121, "Invalid symbol."),
    Refusal.TICK: (-1013, "Filter failure: PRICE_FILTER"),
    Refusal.LOT: (-1013, "Filter failure: LOT_SIZE"),
    Refusal.FAR: (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    Refusal.SMALL: (-1013, "Filter failure: NOTIONAL"),
    Refusal.OPEN_ORDERS: (-1013, "Filter failure: MAX_NUM_ORDERS"),
    Refusal.DUPLICATE: (-2010, "Duplicate order sent."),
    Refusal.TAKES: (-2010, "Order would immediately match and take."),
    Refusal.FUNDS: (-2010, "Account has insufficient balance for requested action."),
    Refusal.UNKNOWN: (-2011, "Unknown order sent."),
    Refusal.INCREASE: (-2038, "Order amend (quantity increase) is not supported."),
    Refusal.NO_CHANGE: (-2038, "The requested action would change no state; rejecting"),
}
REASONS: Final = {Refusal.TAKES: "WOULD_MATCH_IMMEDIATELY", Refusal.FUNDS: "INSUFFICIENT_BALANCES"}
"""The reject reason that an event carries; of all others it is NONE."""


class Failed(Exception):
    """A request that the API refuses: error code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def failed(why: Refusal) -> Failed:
    """What is said of a refusal of the engine."""
    return Failed(*ERRORS[why])

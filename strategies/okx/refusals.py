"""Errors as OKX tells them (https://www.okx.com/docs-v5/en/#error-code): a code and a text, for each order."""

from __future__ import annotations

from typing import Final

from strategies.orders import Refusal

GRANTED: Final = "0"

ERRORS: Final = {
    Refusal.ACCOUNTS: ("60009", "Login failed."),
    Refusal.SYMBOL: ("51001", "Instrument ID, Instrument ID code or Spread ID doesn't exist."),
    Refusal.TICK: ("51000", "Parameter px error"),
    Refusal.LOT: ("51121", "Order quantity must be a multiple of the lot size."),
    Refusal.FAR: ("51006", "Order price is not within the price limit."),
    Refusal.SMALL: ("51020", "Your order should meet or exceed the minimum order amount."),
    Refusal.OPEN_ORDERS: ("51174", "The number of pending orders reached the upper limit."),
    Refusal.DUPLICATE: ("51016", "Client order ID already exists."),
    Refusal.TAKES: ("51000", "Parameter newPx error"),
    Refusal.FUNDS: ("51008", "Order failed. Insufficient balance in account."),
    Refusal.UNKNOWN: ("51400", "Cancellation failed as the order has been filled, canceled or does not exist."),
}
"""Without the two that OKX never has: it amends to more, and to the same."""
UNKNOWN_TO_AMEND: Final = ("51503", "Order modification failed as the order has been filled, canceled or does not exist.")


class Failed(Exception):
    """An order or message that the API refuses: error code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def wrong(parameter: str) -> Failed:
    """A parameter that is missing, or makes no sense."""
    return Failed("51000", f"Parameter {parameter} error")

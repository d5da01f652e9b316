"""What venues decide differently, and the engine asks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a venue. Fees are shares of what a trade earns."""

    maker_fee: Decimal
    taker_fee: Decimal
    pays_in_bnb: bool
    """Whether half of the accounts pay their fees in BNB."""
    refuses_takers: bool
    """A post-only order that would take is refused; else it is accepted, and cancelled at once."""
    amends_to_less_only: bool
    """Else an amendment may change the price, too."""
    counts_by_symbol: bool
    """Each symbol has order and trade ids of its own; else they are the venue's."""
    first_id: int
    """About where order ids begin."""
    new_client_id: Callable[[random.Random], str]
    """The client order id of an order that came without."""

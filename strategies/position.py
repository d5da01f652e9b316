"""A position: what fills make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Side = Literal["BUY", "SELL"]
ZERO = Decimal(0)


@dataclass(slots=True)
class Position:
    """Quantity held in one symbol, at which average price, and what has been earned by closing.

    `quantity` is in the base asset, negative when short; `average_price` and `realised` are in the quote asset, before fees;
    `fees` are what was paid, by asset. A fill in the position's direction moves the average price; one against it realises
    profit and leaves the average alone; one that goes through zero realises the whole old position and opens the rest at the
    fill's price.
    """

    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realised: Decimal = ZERO
    fees: dict[str, Decimal] = field(default_factory=dict)

    def fill(self, side: Side, quantity: Decimal, price: Decimal, fee: Decimal = ZERO, fee_asset: str = "") -> None:
        """Take one fill in. `fee` is positive when paid.

        Raises `ValueError` for a quantity or price that is not above zero.
        """
        if quantity <= 0 or price <= 0:
            raise ValueError(f"a fill has a quantity and a price above 0, not {quantity} at {price}")
        signed = quantity if side == "BUY" else -quantity
        before, after = self.quantity, self.quantity + signed
        if before * signed >= 0:
            self.average_price = (self.average_price * abs(before) + price * quantity) / abs(after)
        else:
            closed = min(quantity, abs(before))
            self.realised += (price - self.average_price) * (closed if before > 0 else -closed)
            if after == 0:
                self.average_price = ZERO
            elif after * before < 0:
                self.average_price = price
        self.quantity = after
        if fee:
            self.fees[fee_asset] = self.fees.get(fee_asset, ZERO) + fee

    def unrealised(self, price: Decimal) -> Decimal:
        """Profit, in the quote asset, if the position were closed at `price` without fees."""
        return (price - self.average_price) * self.quantity

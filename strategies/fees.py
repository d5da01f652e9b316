"""What a trade costs: a share of what it earns, or less if paid in BNB (binance-spot-api-docs, faqs/commission_faq.md)."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Final

from strategies.accounts import BNB_PRICE, Account
from strategies.rules import Rules

BNB_DISCOUNT: Final = Decimal("0.75")
"""Fees paid in BNB cost three quarters."""
SATOSHI: Final = Decimal("0.00000001")
"""Amounts have eight decimals at most."""


def commission(
    rules: Rules, account: Account, earned: str, income: Decimal, value: Decimal, maker: bool
) -> tuple[Decimal, str]:
    """Fee of a fill and its asset: of the `income` in the asset `earned`, or, of the trade's quote `value`, in BNB."""
    rate = rules.maker_fee if maker else rules.taker_fee
    if account.pays_in_bnb:
        return (value * rate * BNB_DISCOUNT / BNB_PRICE).quantize(SATOSHI, ROUND_DOWN), "BNB"
    return (income * rate).quantize(SATOSHI, ROUND_DOWN), earned

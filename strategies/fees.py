"""What a trade costs (binance-spot-api-docs, faqs/commission_faq.md): a share of what it earns, or less if paid in BNB."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Final

from strategies.accounts import BNB_PRICE, Account

MAKER_FEE: Final = Decimal("0.0008")
TAKER_FEE: Final = Decimal("0.0010")
BNB_DISCOUNT: Final = Decimal("0.75")
"""Fees paid in BNB cost three quarters."""
SATOSHI: Final = Decimal("0.00000001")
"""All amounts have eight decimals on the wire."""


def commission(account: Account, earned: str, income: Decimal, value: Decimal, maker: bool) -> tuple[Decimal, str]:
    """Fee of a fill and its asset: of the `income` in the asset `earned`, or, of the trade's quote `value`, in BNB."""
    rate = MAKER_FEE if maker else TAKER_FEE
    if account.pays_in_bnb:
        return (value * rate * BNB_DISCOUNT / BNB_PRICE).quantize(SATOSHI, ROUND_DOWN), "BNB"
    return (income * rate).quantize(SATOSHI, ROUND_DOWN), earned

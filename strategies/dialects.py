"""The dialects that the exchange and the strategies speak, by the venue's name. A new one is a folder, and a line here."""

from __future__ import annotations

from typing import Final

from strategies.binance.dialect import Binance
from strategies.bitfinex.dialect import Bitfinex
from strategies.dialect import Dialect
from strategies.okx.dialect import Okx

DIALECTS: Final[dict[str, Dialect]] = {dialect.name: dialect for dialect in (Binance(), Okx(), Bitfinex())}
DEFAULT: Final = Binance.name

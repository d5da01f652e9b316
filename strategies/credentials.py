"""API keys, and signed requests of Binance (binance-spot-api-docs, web-socket-api.md, "SIGNED request security")."""

from __future__ import annotations

import hashlib
import hmac
import random
import string
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Credentials:
    """API key and secret of an account, and the passphrase that some venues want besides."""

    api_key: str
    secret: str
    passphrase: str

    @classmethod
    def invent(cls, rng: random.Random) -> Credentials:
        """Made-up ones of the usual shape, key and secret of 64 characters each."""
        letters = string.ascii_letters + string.digits
        return cls(*("".join(rng.choices(letters, k=length)) for length in (64, 64, 20)))

    def sign(self, params: dict[str, Any]) -> dict[str, Any]:
        """`params` as Binance wants them: with apiKey, timestamp and signature (HMAC SHA-256 over the sorted parameters)."""
        params = params | {"apiKey": self.api_key, "timestamp": time.time_ns() // 1_000_000}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        return params | {"signature": hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()}

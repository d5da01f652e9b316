"""What the processes of a run are told, as JSON in their arguments."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.cost.workload import Workload


@dataclass(frozen=True)
class Job:
    """One run. `times` is the descriptor of `bench.cost.times.Times`; `core` is the strategy's."""

    opens: str
    """`module.function` of this package that begins to save; the strategy imports nothing else of the ways."""
    workload: Workload
    folder: Path
    times: int
    core: int
    tls: bool = False
    seed: int = 0
    port: int = 0
    """Of the exchange, once it listens."""

    @property
    def certificate(self) -> Path:
        """What a client of the exchange trusts, over TLS."""
        return self.folder / "exchange.pem"

    @property
    def keylog(self) -> Path:
        return self.folder / "keys.log"

    def text(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def read(cls, text: str) -> Job:
        values = json.loads(text)
        values["workload"] = Workload(**values["workload"])
        values["folder"] = Path(values["folder"])
        return cls(**values)

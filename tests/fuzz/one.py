"""`python -m tests.fuzz.one TARGET [libFuzzer options] FOLDERS`: fuzz one target, until a fault or the time is over."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found, unused-ignore]  # `make fuzz` installs it

with atheris.instrument_imports(include=["sniffer"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    learnt = Path(next(option for option in options if not option.startswith("-")))
    for number, seed in enumerate(target.seeds()):
        (learnt / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""`python -m tests.fuzz --seconds 60 [TARGET ...]`: fuzz the targets, one after another, each for so many seconds.

What it learns is kept in `.fuzz/NAME`, so the next run goes on from there; an input that shows a fault is written there too and
named in the last lines. It belongs, once the fault is mended, into `tests/fuzz/corpus/NAME`, whose inputs every test run tries.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(__file__).parents[2] / ".fuzz"
MEMORY_MB = 700
"""A process that grows beyond this is a fault: Python, numpy and the oracles take some 150."""
INPUT_SECONDS = 10
INPUT_BYTES = 8_192


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all, if none is named")
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("fuzzing needs atheris: `make fuzz` installs it, or pip install -r tests/fuzz/requirements.txt")
    from tests.fuzz.targets import TARGETS

    if unknown := set(asked.targets) - TARGETS.keys():
        sys.exit(f"no such target: {', '.join(sorted(unknown))}; there are {' '.join(TARGETS)}")
    failed = [name for name in asked.targets or TARGETS if not fuzz(name, asked.seconds)]
    print("faults: " + " ".join(failed) if failed else "no fault")
    return bool(failed)


def fuzz(name: str, seconds: int) -> bool:
    """One target in a process of its own; whether no fault was found."""
    learnt, faults = FOUND / name / "corpus", FOUND / name / "faults"
    for folder in (learnt, faults):
        folder.mkdir(parents=True, exist_ok=True)
    options = (
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={INPUT_BYTES}",
        f"-artifact_prefix={faults}/",
        "-print_final_stats=1",
    )
    folders = [str(learnt), *([str(CORPUS / name)] if (CORPUS / name).is_dir() else [])]
    command = [sys.executable, "-m", "tests.fuzz.one", name, *options, *folders]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    stats = [
        line.split()[-1] for line in done.stdout.splitlines() if line.startswith(("stat::number_of_exec", "stat::peak_rss"))
    ]
    print(f"{name}: {' runs, '.join(stats) or '?'} MB: {'no fault' if not done.returncode else 'FAULT'}", flush=True)
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        print("\n".join(said[-60:]), flush=True)
    return not done.returncode


if __name__ == "__main__":
    sys.exit(main())

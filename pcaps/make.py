"""Makes every capture again, byte for byte, with its truth and the table in `README.md`: `python -m pcaps.make [FOLDER]`."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from pcaps.kit.truth import MAKERS

HERE = Path(__file__).parent
SUBJECTS = ("formats", "links", "tcp", "websocket", "tls", "hostile")
BEGIN, END = "<!-- made by pcaps/make.py: begin -->\n", "<!-- made by pcaps/make.py: end -->\n"


def load() -> None:
    """Import every maker module, in a fixed order, so that `MAKERS` is whole."""
    for subject in SUBJECTS:
        for path in sorted((HERE / subject).glob("[a-z]*.py")):
            importlib.import_module(f"pcaps.{subject}.{path.stem}")


def table() -> str:
    """One Markdown table a subject."""
    parts = []
    for subject in SUBJECTS:
        makers = [maker for name, maker in MAKERS.items() if name.startswith(f"{subject}/")]
        rows = [f"| `{maker.name.partition('/')[2]}` | {maker.about} | {maker.rfc or ''} |" for maker in makers]
        parts.append(
            "\n".join([f"### {subject}/\n", "| capture | what is odd about it | settled by |", "|---|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def make(target: Path = HERE) -> list[Path]:
    """Write all captures, their truths and the README's table below `target`; returns what was written."""
    load()
    contents: dict[str, bytes] = {}
    for maker in MAKERS.values():
        files, truth = maker.outputs()
        contents |= files
        contents[f"{maker.name}.json"] = (json.dumps(truth, indent=1, ensure_ascii=True) + "\n").encode()
    before, _, rest = (HERE / "README.md").read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    contents["README.md"] = f"{before}{BEGIN}\n{table()}\n{END}{after}".encode()
    for name, content in contents.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [target / name for name in contents]


if __name__ == "__main__":
    written = make(*map(Path, sys.argv[1:2]))
    print(f"{len(MAKERS)} captures, {len(written)} files, {sum(path.stat().st_size for path in written):,} bytes")

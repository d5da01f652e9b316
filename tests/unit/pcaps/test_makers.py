"""The captures are what their makers make, byte for byte, and nothing else lies between them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pcaps.make import HERE, SUBJECTS

LARGEST = 300_000
"""A repository of captures is cloned by everyone."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pcaps")
    # in a process of its own: scapy's layers are global, and other tests bind more of them
    subprocess.run([sys.executable, "-m", "pcaps.make", folder], cwd=HERE.parent, check=True, timeout=60)
    return folder


def below(folder: Path) -> dict[str, Path]:
    """Captures and truths by their path below `folder`."""
    files = (path for subject in SUBJECTS for path in (folder / subject).iterdir())
    return {path.relative_to(folder).as_posix(): path for path in files if path.is_file() and path.suffix != ".py"}


def truths() -> list[Path]:
    return [path for name, path in below(HERE).items() if name.endswith(".json")]


def test_making_again_gives_identical_bytes(made: Path) -> None:
    again, checked_in = below(made), below(HERE)
    assert set(again) == set(checked_in), "run `make pcaps`, and remove captures without a maker"
    assert [name for name in again if again[name].read_bytes() != checked_in[name].read_bytes()] == []
    assert (made / "README.md").read_bytes() == (HERE / "README.md").read_bytes()


def test_every_file_belongs_to_one_truth() -> None:
    named = [path.parent / name for path in truths() for name in json.loads(path.read_text())["files"]]
    assert len(named) == len(set(named))
    assert set(named) == {path for name, path in below(HERE).items() if not name.endswith(".json")}


def test_the_readme_names_every_capture_once() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    rows = re.split(r"^### (\w+)/$", text, flags=re.MULTILINE)[1:]
    named = [
        f"{subject}/{name}"
        for subject, table in zip(rows[::2], rows[1::2], strict=True)
        for name in re.findall(r"^\| `([\w-]+)` \| ", table, flags=re.MULTILINE)
    ]
    assert sorted(named) == sorted(path.relative_to(HERE).with_suffix("").as_posix() for path in truths())


@pytest.mark.parametrize("path", truths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_truth_is_well_formed(path: Path) -> None:
    truth = json.loads(path.read_text())
    assert truth["about"]
    assert truth["damage"] is None or set(truth["damage"]) == {"offset"}
    for connection in truth["connections"]:
        assert connection["readable"] in (True, False, None)
        assert connection["lost"] in (True, False, None)
        if connection["readable"] is False:
            assert connection["messages"] == []
        if any(connection["lost_bytes"].values()):
            assert connection["lost"]
        for message in connection["messages"]:
            assert message["sender"] in ("client", "server")
            assert message["opcode"] in ("text", "binary", "close", "ping", "pong")
            assert ("text" in message) + ("base64" in message) + ("sha256" in message) == 1


def test_captures_are_small() -> None:
    sizes = {name: path.stat().st_size for name, path in below(HERE).items()}
    assert [name for name, size in sizes.items() if size > LARGEST] == []
    assert sum(sizes.values()) < 3_000_000

"""Two independent decoders agree with the truth beside each capture, but for the differences that are listed and settled."""

import base64
import hashlib
import json
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.differential import oracle_tshark, oracle_wsproto

PCAPS = Path(__file__).parents[2] / "pcaps"
TRUTHS = sorted(PCAPS.glob("*/*.json"))
DIFFERENCES = tomllib.loads((PCAPS / "oracle_differences.toml").read_text(encoding="utf-8"))["difference"]
VERSIONS = {"tshark": oracle_tshark.version(), "wsproto": version("wsproto")}
ORACLES = {"tshark": oracle_tshark.messages, "wsproto": oracle_wsproto.messages}

Key = tuple[str, str]
Wanted = tuple[str, str, bool]
"""(opcode, SHA-256 of the payload, optional)."""


def name_of(path: Path) -> str:
    return path.relative_to(PCAPS).with_suffix("").as_posix()


def wanted(truth: dict[str, Any]) -> dict[Key, list[Wanted]]:
    """What the truth says, by direction; connections that follow each other on the same ports are one row here."""
    out: dict[Key, list[Wanted]] = {}
    for connection in truth["connections"]:
        for message in connection["messages"]:
            ends = (connection["client"], connection["server"])
            payload = message["text"].encode() if "text" in message else base64.b64decode(message.get("base64", ""))
            digest = message.get("sha256") or hashlib.sha256(payload).hexdigest()
            key = ends if message["sender"] == "client" else ends[::-1]
            out.setdefault(key, []).append((message["opcode"], digest, message.get("optional", False)))
    return out


def same(expected: list[Wanted], found: list[tuple[str, bytes]]) -> bool:
    """Whether `found` is `expected`, in order, with any of the optional ones left out."""
    places = {0}  # how many of `expected` may have been used up so far
    for opcode, payload in found:
        digest = hashlib.sha256(payload).hexdigest()
        after = set()
        for place in places:
            for at in range(place, len(expected)):
                if expected[at][:2] == (opcode, digest):
                    after.add(at + 1)
                if not expected[at][2]:
                    break
        places = after
    return any(all(rest[2] for rest in expected[place:]) for place in places)


def agree(truth: dict[str, Any], found: oracle_tshark.Messages) -> bool:
    expected = wanted(truth)
    return all(same(expected.get(key, []), found.get(key, [])) for key in expected.keys() | found.keys())


def listed(oracle: str) -> dict[str, dict[str, Any]]:
    return {capture: entry for entry in DIFFERENCES if entry["oracle"] == oracle for capture in entry["captures"]}


@pytest.mark.slow
@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("path", TRUTHS, ids=name_of)
def test_the_oracle_agrees_or_its_difference_is_listed(path: Path, oracle: str) -> None:
    if VERSIONS[oracle] is None:
        pytest.skip(f"{oracle} is not installed")
    if oracle == "wsproto" and path.parent.name == "tls":
        pytest.skip("wsproto speaks no TLS")
    entry = listed(oracle).get(name_of(path))
    if entry and VERSIONS[oracle] not in entry.get("versions", [VERSIONS[oracle]]):
        pytest.skip(f"listed for {oracle} {', '.join(entry['versions'])}; nobody has looked at {VERSIONS[oracle]} yet")
    truth = json.loads(path.read_text(encoding="utf-8"))
    try:
        agrees = agree(truth, ORACLES[oracle]([path.parent / file for file in truth["files"]]))
    except subprocess.TimeoutExpired:
        agrees = False
    if entry:
        assert not agrees, f"{oracle} {VERSIONS[oracle]} agrees now: take {name_of(path)} off pcaps/oracle_differences.toml"
    else:
        assert agrees, f"{oracle} {VERSIONS[oracle]} differs: settle it by the RFC, then mend the maker or list the difference"


def test_the_list_is_whole() -> None:
    names = {name_of(path) for path in TRUTHS}
    seen: set[tuple[str, str]] = set()
    for entry in DIFFERENCES:
        assert entry["oracle"] in ORACLES
        assert entry["does"]
        assert entry["settled_by"]
        for capture in entry["captures"]:
            assert capture in names, f"{capture} is listed and does not exist"
            assert (entry["oracle"], capture) not in seen, f"{capture} is listed twice for {entry['oracle']}"
            seen.add((entry["oracle"], capture))


@pytest.mark.parametrize(
    ("found", "agrees"),
    [
        ([("text", b"a"), ("ping", b"b"), ("text", b"c")], True),
        ([("text", b"a"), ("text", b"c")], True),
        ([("text", b"a"), ("ping", b"b")], False),
        ([("text", b"a"), ("text", b"b"), ("text", b"c")], False),
        ([("text", b"c"), ("text", b"a")], False),
        ([("text", b"a"), ("text", b"c"), ("text", b"c")], False),
        ([], False),
    ],
)
def test_the_comparison_is_strict(found: list[tuple[str, bytes]], agrees: bool) -> None:
    digests = [hashlib.sha256(payload).hexdigest() for payload in (b"a", b"b", b"c")]
    expected = [("text", digests[0], False), ("ping", digests[1], True), ("text", digests[2], False)]
    assert same(expected, found) is agrees

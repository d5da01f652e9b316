"""Every capture of `pcaps/` against the truth beside it, read in blocks of any size."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.reading import Reading, Seen, read_files

PCAPS = Path(__file__).parents[2] / "pcaps"
TRUTHS = sorted(PCAPS.glob("*/*.json"))


def files_of(truth: Path, content: dict[str, Any]) -> list[Path]:
    if "files" in content:
        return [truth.parent / name for name in content["files"]]
    found = [path for path in truth.parent.glob(f"{truth.stem}.*") if path.suffix not in (".json", ".py")]
    assert len(found) == 1, found
    return found


def matches(wanted: dict[str, Any], got: tuple[str, bytes]) -> bool:
    opcode, payload = got
    if wanted["opcode"] != opcode:
        return False
    if "text" in wanted:
        return bool(wanted["text"].encode() == payload)
    if "base64" in wanted:
        return base64.b64decode(wanted["base64"]) == payload
    return bool(wanted["length"] == len(payload) and wanted["sha256"] == hashlib.sha256(payload).hexdigest())


def check_messages(name: str, wanted: list[dict[str, Any]], got: list[tuple[str, bytes]]) -> None:
    """Each message in order; an optional one may be missing, nothing else may, and nothing may be there besides."""
    at = 0
    for message in wanted:
        if at < len(got) and matches(message, got[at]):
            at += 1
        else:
            assert message.get("optional"), f"{name}: wanted {message}, got {got[at : at + 2]}"
    assert at == len(got), f"{name}: not in the truth: {got[at:]}"


def address(pair: tuple[str, int]) -> str:
    host, port = pair
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check(truth: dict[str, Any], reading: Reading) -> None:
    damage = truth.get("damage")
    if damage is not None:
        assert reading.damage or reading.error, "the damage went unnoticed"
        if reading.damage and (damage.get("offset") or -1) >= 0:
            assert reading.damage[0].offset == damage["offset"]
    else:
        assert not reading.damage
        assert reading.error is None
    left: list[Seen] = list(reading.connections.values())
    for connection in truth["connections"]:
        found = next(
            (
                seen
                for seen in left
                if address(seen.connection.client_address) == connection["client"]
                and address(seen.connection.server_address) == connection["server"]
            ),
            None,
        )
        assert found is not None, f"no connection {connection['client']} -> {connection['server']}"
        left.remove(found)
        name = connection["client"]
        for sender in ("client", "server"):
            wanted = [message for message in connection["messages"] if message["sender"] == sender]
            check_messages(f"{name} {sender}", wanted, found.messages[sender])
        if connection.get("readable") is not None:
            assert found.connection.readable == connection["readable"], found.connection.unreadable_reason
        if connection.get("unreadable_reason"):
            assert connection["unreadable_reason"] in (found.connection.unreadable_reason or "")
        if connection["lost"] and not found.connection.joined_midway:  # joined midway, all may yet have been read
            assert found.losses, "nothing stands in losses"
        elif connection["lost"] is False and found.connection.readable:
            assert not [loss for loss in found.losses if loss.bytes != 0]
        for sender, count in (connection.get("lost_bytes") or {}).items():
            if count is not None:
                missing = [loss for loss in found.losses if loss.sender == sender and loss.layer == "tcp"]
                # Of a segment that the snap length cut nothing is used: no checksum vouches for what is left of it.
                unverified = any(loss.reason == "cut by the snap length" for loss in missing)
                total = sum(loss.bytes or 0 for loss in missing)
                assert total >= count if unverified else total == count, missing
    if truth["unassigned_loss"]:
        assert [loss for loss in reading.losses if loss.connection_id is None]
    if not truth["other_connections"]:
        assert not left, f"connections that are not in the truth: {[seen.connection.client_address for seen in left]}"


@pytest.mark.parametrize("path", TRUTHS, ids=lambda path: f"{path.parent.name}/{path.stem}")
@pytest.mark.parametrize("block", [None, 1, 3])
def test_the_capture_reads_as_its_truth_says(path: Path, block: int | None) -> None:
    truth = json.loads(path.read_text(encoding="utf-8"))
    check(truth, read_files(*files_of(path, truth), block=block))

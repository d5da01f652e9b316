"""What `tests.crash.killing` does by hand some hundred times, a few times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.crash_interfaces import Namespaces
from tests.crash.killing import CHILDREN, TARGETS, Outcome, run
from tests.live.live_tools import LIVE, ROOT_ONLY, SEED, rows

pytestmark = [pytest.mark.timeout(180), *LIVE]  # the first one counts


def check(outcome: Outcome, kills: int) -> None:
    print(outcome)
    assert outcome.kills.total() == kills
    assert outcome.stored.total() > 100
    assert {kind.tls for kind in outcome.stored} == {None, "TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize(("targets", "kills"), [(CHILDREN, 8), (TARGETS, 6)], ids=["children", "any"])
def test_nothing_is_wrong_twice_or_missing_without_account(tmp_path: Path, targets: tuple[str, ...], kills: int) -> None:
    check(run(tmp_path, SEED, kills, targets), kills)


@ROOT_ONLY
def test_two_interfaces(tmp_path: Path) -> None:
    with Namespaces() as namespaces:
        check(run(tmp_path, SEED, 6, ("capture",), namespaces), 6)
    servers = {server for (server,) in rows(tmp_path / "orders.duckdb", "SELECT server_ip FROM connections")}
    assert servers == {way.server for way in namespaces.ways}

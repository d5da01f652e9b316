"""What `tests.crash.killing` does by hand some hundred times, a few times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.killing import TARGETS, run
from tests.live.live_tools import LIVE, SEED

pytestmark = [*LIVE, pytest.mark.timeout(180)]


@pytest.mark.parametrize(("targets", "kills"), [(("capture", "load"), 12), (TARGETS, 8)], ids=["children", "any"])
def test_nothing_is_wrong_twice_or_missing_without_account(tmp_path: Path, targets: tuple[str, ...], kills: int) -> None:
    outcome = run(tmp_path, SEED, kills, targets)
    print(outcome)
    assert outcome.kills.total() == kills
    assert outcome.stored.total() > 100
    assert {kind.tls for kind in outcome.stored} == {None, "TLSv1.2", "TLSv1.3"}

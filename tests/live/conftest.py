"""A network of its own for each process that runs live tests: nobody else's traffic is on its loopback, nor are ports taken."""

from __future__ import annotations

import pytest

from tests.live.live_path import own_network


@pytest.fixture(scope="session", autouse=True)
def network() -> None:
    """From here on, and for the processes that tests start. Without the right to make one, tests go by their own ports."""
    try:
        own_network()
    except PermissionError:
        return

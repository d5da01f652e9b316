"""Random tests draw anew in each run and print their seed; with `TEST_SEED` in the environment they draw the same each time."""

from __future__ import annotations

import os
import random

import pytest

from tests.live.live_network import own_network

if seed := os.environ.get("TEST_SEED"):
    random.seed(int(seed))


@pytest.fixture(scope="session")
def network() -> None:
    """A network of our own from here on, and for the processes that tests start: nobody else's traffic is on its loopback.

    So live tests may run in several processes at once. Without the right to make one, they go by their own ports.
    """
    try:
        own_network()
    except PermissionError:
        return

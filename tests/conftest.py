"""Random tests draw anew in each run and print their seed; with `TEST_SEED` in the environment they draw the same each time."""

from __future__ import annotations

import os
import random

if seed := os.environ.get("TEST_SEED"):
    random.seed(int(seed))

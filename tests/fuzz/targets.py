"""All targets, by name."""

from __future__ import annotations

from tests.fuzz import conversations, files, secured, segments, venues
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for module in (files, segments, conversations, secured, venues) for target in module.TARGETS
}

"""Holds that work grows with its input and not with its square, whatever else the machine is doing."""

from __future__ import annotations

from collections.abc import Callable


def assert_grows_linearly(run: Callable[[int], float], count: int) -> None:
    """`run(count)` does the work and says how much processor time (s) it took. Four times the input may not take ten times as
    long: what grows with the square takes sixteen, at every try, while a busy machine spoils only some."""
    run(count)
    tries = [(run(count), run(4 * count)) for _ in range(5)]
    assert any(large < 10 * small for small, large in tries), tries

import pytest

from bench.captures import Workload, capture
from bench.floor import Loop
from bench.segments import blocks
from bench.speed import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_bare_loop_finds_what_the_capture_holds(kind, tmp_path):
    version, deflated = KINDS[kind]
    made = capture(Workload(60, connections=7, order_share=0.5, compressed=deflated, tls=version), tmp_path)
    loop = Loop(made, tmp_path / "floor.duckdb")
    for block in blocks(made, 25):
        loop.block(block)
    assert loop.finish() == (made.truth.orders, made.truth.fills, made.truth.filled_lots)
    assert made.truth.fills > 0
    assert loop.seconds > 0
    assert loop.cpu > 0


def test_segments_are_all_that_the_server_says(tmp_path):
    made = capture(Workload(40, connections=3), tmp_path)
    found = [one for block in blocks(made, 7) for one in block]
    assert len(found) == 40 + 3  # the answers to the upgrades
    assert [one[2] for one in found] == sorted(one[2] for one in found)
    for number in range(3):
        ordinals = [one[1] for one in found if one[0] == number]
        assert ordinals == list(range(len(ordinals)))
        assert next(one[3] for one in found if one[0] == number).startswith(b"HTTP/1.1 101")

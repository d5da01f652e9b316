import json

import pytest

from bench.plots import newest
from bench.report import Figure, quantile, ratios, save, spread


def test_a_quantile_is_a_value_that_was_measured():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [quantile(values, share) for share in (0, 0.2, 0.21, 0.5, 0.99, 1)] == [1.0, 1.0, 2.0, 3.0, 5.0, 5.0]


def test_ninety_nine_of_a_hundred_do_not_exceed_p99():
    values = [float(number) for number in range(1, 101)]
    assert quantile(values, 0.99) == 99.0
    assert quantile(values, 0.5) == 50.0


def test_ratios_are_taken_round_by_round():
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_a_spread_shows_the_median_and_both_ends():
    assert spread([3.0, 1.0, 2.0]) == "2.00 s (1.00 to 3.00)"


def test_the_newest_result_of_real_size_is_drawn(tmp_path):
    for name, found, quick in (("1.json", "old", False), ("2.json", "new", False), ("3.json", "tiny", True)):
        save(tmp_path / name, {}, [Figure("Live", "", found, None, [], [], {"trials": []})], quick)
    assert json.loads((tmp_path / "3.json").read_text())["figures"]["Live"]["quick"] is True
    assert newest(sorted(tmp_path.glob("*.json")))["Live"]["found"] == "new"

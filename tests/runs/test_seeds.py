import numpy as np
import pytest

from jaxent.runs import seeds


def test_undefined_seeds_are_left_out_and_counted():
    summary = seeds.over_seeds([0.2, None, 0.5, 0.3])
    assert summary.mean == pytest.approx(np.mean([0.2, 0.5, 0.3]))
    assert summary.sd == pytest.approx(np.std([0.2, 0.5, 0.3], ddof=1))
    assert (summary.n, summary.seeds) == (3, 4)
    assert summary.note == "undefined in 1 of 4 seeds"


def test_one_seed_has_no_sd_and_none_has_no_summary():
    assert seeds.over_seeds([0.2]).sd is None and seeds.over_seeds([0.2]).note is None
    assert seeds.over_seeds([None, None]) is None and seeds.over_seeds([]) is None


def test_groups_are_in_the_order_in_which_they_come():
    groups = seeds.group_by([("b", 1), ("a", 2), ("b", 3)], lambda item: item[0])
    assert list(groups.items()) == [("b", [("b", 1), ("b", 3)]), ("a", [("a", 2)])]

import designs
import numpy as np
import pytest

from jaxent.measure import concepts


def test_labels_that_are_not_balanced_are_refused():
    with pytest.raises(ValueError, match="'domain' has 1 class"):
        concepts.label_probes([r | {"domain": "A"} for r in designs.ROWS])
    with pytest.raises(
        ValueError, match="replicate 0 has 47 of 95 probes in 47 of 48 cells"
    ):
        concepts.label_probes(designs.ROWS[1:])


def test_every_set_holds_every_cell_equally_often():
    labels = designs.LABELS
    assert labels.sizes == (3, 4, 4) and labels.sets.shape == (2, 48)
    for members in labels.sets:
        assert len(np.unique(labels.codes[members], axis=0)) == 48


def test_bad_activations_name_the_probe():
    bad = designs.activations(designs.LABELS, 5)
    with pytest.raises(ValueError, match=r"expected \[96, d\]"):
        concepts.check_inputs(bad[None, :5], designs.LABELS)
    bad[7, 2] = np.inf
    with pytest.raises(ValueError, match="probe 7 hold NaN or infinity: expected"):
        concepts.check_inputs(bad[None], designs.LABELS)
    with pytest.raises(ValueError, match="probe 7 hold NaN or infinity in layer 1"):
        concepts.check_inputs(np.stack([np.ones(bad.shape), bad]), designs.LABELS)


@pytest.mark.parametrize("m", [2, 3, 6])
def test_contrasts_are_orthonormal_and_sum_to_zero(m):
    basis = concepts.zero_sum_basis(m)
    np.testing.assert_allclose(basis @ basis.T, np.eye(m - 1), atol=1e-12)
    np.testing.assert_allclose(basis.sum(1), 0, atol=1e-12)


def test_ties_of_loadings_go_to_the_first_concept():
    concept, share = concepts.dominant_concept(np.ones((1, 4)), (2, 2))
    assert concept.tolist() == [0] and share.tolist() == [0.5]


def test_random_loadings_have_the_known_purity():
    null = concepts.random_purity((3, 4, 4))
    assert null.mean() == pytest.approx(0.585, abs=0.005)
    assert null.std() == pytest.approx(0.051, abs=0.003)


def test_plain_values_have_no_nan():
    value = {"a": float("nan"), "b": [(1.5, float("-inf"))], "c": "text"}
    assert concepts.to_plain(value) == {"a": None, "b": [[1.5, None]], "c": "text"}


def test_what_cannot_be_labelled_is_named_in_one_line():
    rows = [dict(row) for row in designs.ROWS]
    del rows[5]["shape"]
    with pytest.raises(ValueError, match="probe 5 has .*: expected 'shape' too"):
        concepts.label_probes(rows)
    unequal = [row | {"replicate": int(i < 50)} for i, row in enumerate(designs.ROWS)]
    with pytest.raises(ValueError, match="expected equal sets with every cell"):
        concepts.label_probes(unequal)


def test_a_topic_in_two_sets_is_refused():
    rows = [row | {"topic": f"topic {i}"} for i, row in enumerate(designs.ROWS)]
    concepts.label_probes(rows)
    rows[1]["topic"] = rows[2]["topic"]
    with pytest.raises(ValueError, match="topic") as error:
        concepts.label_probes(rows)
    assert str(error.value).startswith("topic 'topic 2' is in replicates ")
    assert "\n" not in str(error.value)
    same_set = rows[1]["replicate"] == rows[3]["replicate"]
    rows[1]["topic"] = rows[3]["topic"]
    assert same_set and concepts.label_probes(rows).sets.shape == (2, 48)

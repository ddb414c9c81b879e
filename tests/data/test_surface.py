"""Labels that the surface gives away are found, and version 2 keeps its own hidden."""

import dataclasses

import numpy as np
import pytest

from jaxent.data import probes, surface


@pytest.mark.parametrize("name", ["triad_v2", "hexad_v2"])
def test_version_2_keeps_its_labels_from_the_surface(name):
    assert surface.problems(probes.load_probes(name).probes, {}) == []


def test_version_1_gives_its_register_away():
    found = surface.problems(probes.load_probes("triad").probes, {})
    assert any(line.startswith("register from counts: accuracy 0.9") for line in found)


class Words:
    """A tokenizer whose tokens are words."""

    def encode(self, text):
        self.ids = text.split()
        return self


def test_longer_texts_of_one_class_are_found():
    texts = [
        dataclasses.replace(p, text=p.text + " and so on" * 5)
        if p.register == "formal"
        else p
        for p in probes.load_probes("triad_v2").probes
    ]
    found = surface.problems(texts, {"words": Words()})
    assert any(line.startswith("register formal: ") for line in found)
    assert any(line.startswith("register from tokens words: ") for line in found)


def test_folds_deal_every_cell_and_decode_out_of_fold():
    texts = probes.load_probes("triad_v2").probes
    folds = surface.assign_folds(texts)
    sizes = np.bincount(folds)
    assert len(sizes) == 5 and np.ptp(sizes) <= 1
    noise = np.random.default_rng(0).normal(size=(len(texts), 3))
    labels = [p.shape for p in texts]
    assert abs(surface.decode(noise, labels, folds) - 0.25) < 0.08
    with pytest.raises(ValueError, match="kind 'word', expected 'words' or 'charact"):
        surface.decode_text(["a"], ["b"], np.zeros(1), "word")

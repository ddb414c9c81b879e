"""The generators still give the committed files of math and creative."""

import re

import pytest
from embedded_texts import domains, passages

from jaxent.data import embedded


@pytest.mark.parametrize("domain", ["math", "creative"])
def test_generators_reproduce_the_committed_files(domain):
    made = [passages.to_row(p) for p in getattr(domains, domain)()]
    committed = [vars(passage) for passage in embedded.load_passages(domain)]
    assert made == committed


def test_split_keeps_problems_that_differ_in_numbers_on_one_side():
    train, held_out = (
        {re.sub(r"\d+", "#", text) for text in side} for side in embedded.split("math")
    )
    assert not train & held_out


def test_split_keeps_plots_on_one_side():
    plot_of = {passage.text: passage.family for passage in domains.creative()}
    train, held_out = (
        {plot_of[text] for text in side} for side in embedded.split("creative")
    )
    assert held_out
    assert not train & held_out


def test_hand_written_stories():
    stories = domains.read_stories()
    assert len(stories) >= 24
    assert len({story.splitlines()[0] for story in stories}) == len(stories)
    assert all(150 <= len(story.split()) <= 350 for story in stories)
    assert stories == embedded.examples("creative")[: len(stories)]

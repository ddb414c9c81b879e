"""The embedded texts: sizes, order, split, form, and that they do not change."""

import ast
import collections
import hashlib
import subprocess
import sys
import tempfile

import pytest

from jaxent.data import embedded

MEGABYTES = {
    "code": (3, 6),
    "natural": (0.9, 2),
    "math": (1.5, 2.5),
    "creative": (1.5, 2.5),
}
# The embedded checkpoints were trained on these; a changed text changes every run.
HASHES = {
    "code": "a2a59a53389a46d7",
    "math": "9b5571bff9fd5073",
    "natural": "4ec4ffce5244eaa6",
    "creative": "0b083c7541d5ab4f",
}
HELD_OUT_HASHES = {
    "code": "6b34caf58650bee1",
    "math": "a39460987e1afaa7",
    "natural": "5b5d50e4f53c2132",
    "creative": "eecd5ce2853c762e",
}


def digest(texts):
    total = hashlib.sha256()
    for text in texts:
        total.update(hashlib.sha256(text.encode()).digest())
    return total.hexdigest()[:16]


@pytest.mark.parametrize("domain", embedded.DOMAINS)
def test_sizes_and_distinctness(domain):
    texts = embedded.examples(domain)
    low, high = MEGABYTES[domain]
    assert low < sum(len(text.encode()) for text in texts) / 1e6 < high
    assert len(texts) >= 1000
    assert len(set(texts)) == len(texts)
    assert all(text.strip() and "\n***\n" not in text for text in texts)


@pytest.mark.parametrize("domain", embedded.DOMAINS)
def test_texts_are_those_of_the_published_runs(domain):
    assert digest(embedded.examples(domain)) == HASHES[domain]
    assert digest(embedded.split(domain)[1]) == HELD_OUT_HASHES[domain]


@pytest.mark.parametrize("domain", embedded.DOMAINS)
def test_split_parts_every_example_once(domain):
    train, held_out = embedded.split(domain)
    assert not set(train) & set(held_out)
    assert set(train) | set(held_out) == set(embedded.examples(domain))
    assert 0.03 < len(held_out) / (len(train) + len(held_out)) < 0.08


@pytest.mark.parametrize("domain", embedded.DOMAINS)
def test_a_family_is_on_one_side(domain):
    splits = collections.defaultdict(set)
    for passage in embedded.load_passages(domain):
        splits[passage.family].add(passage.split)
    assert set(map(len, splits.values())) == {1}
    assert set().union(*splits.values()) == {"train", "held_out"}


def test_code_is_whole_definitions_of_ten_to_sixty_lines():
    for text in embedded.examples("code"):
        (node,) = ast.parse(text).body
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        assert 10 <= len(text.splitlines()) <= 60


def test_natural_is_prose():
    for text in embedded.examples("natural"):
        assert len(text.split()) >= 40
        assert ">>>" not in text
        assert "::=" not in text
        assert "****" not in text


def test_unknown_domains_are_named():
    expected = "found 'maths', expected one of code, math, natural, creative"
    with pytest.raises(ValueError, match=expected):
        embedded.examples("maths")


def test_reading_them_needs_no_utf8_locale_and_no_jax():
    program = (
        "import sys\n"
        "from jaxent.data import embedded\n"
        "print(sum(map(len, embedded.examples('natural'))), 'jax' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": sys.path[0]},
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
        check=True,
    )
    characters = sum(map(len, embedded.examples("natural")))
    assert result.stdout.split() == [str(characters), "False"]

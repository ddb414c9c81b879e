import pathlib

import pytest

from jaxent.checkpoint import hf
from jaxent.data import corpora, tokens
from jaxent.decode import generate, stream

TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"


@pytest.fixture(scope="module")
def tiny():
    return hf.load(str(TINY), quantize=False), tokens.load_tokenizer(TINY)


@pytest.fixture(scope="module")
def llama(stories):
    return hf.load(stories, quantize=False), tokens.load_tokenizer(stories)


def test_text_keeps_its_leading_space(llama):
    """Decoded alone, a continuation would lose it in Llama's tokenizers."""
    model, tokenizer = llama
    [completion] = generate(
        model, tokenizer, ["Once upon a time, there was a little"], 12
    )
    assert (
        completion.text.startswith(" girl")
        and completion.end == "length"
        and len(completion.ids) == 12
    )
    assert not tokenizer.decode(completion.ids).startswith(" ")


def test_stops_end_a_row_and_are_not_in_its_text(llama):
    model, tokenizer = llama
    prompts = ["Once upon a time", "The dog said"]
    whole = generate(model, tokenizer, prompts, 96)
    stop = whole[0].text[20:24]
    done = {}
    cut = generate(
        model,
        tokenizer,
        prompts,
        96,
        stops=("never seen", stop),
        on_done=lambda row, c: done.setdefault(row, c),
    )
    assert (
        cut[0].text == whole[0].text[: whole[0].text.index(stop)]
        and cut[0].end == "stop"
    )
    assert len(cut[0].ids) < len(whole[0].ids) and done == dict(enumerate(cut))
    assert cut[1].text == whole[1].text.partition(stop)[0]


def test_samples_of_a_prompt_differ_and_are_reproducible(tiny):
    model, tokenizer = tiny
    options = {"temperature": 1.0, "top_p": 0.95, "samples": 3}
    completions = generate(
        model, tokenizer, ["def load(", "import os"], 16, seed=1, **options
    )
    assert len(completions) == 6 and len({c.text for c in completions}) == 6
    assert completions == generate(
        model, tokenizer, ["def load(", "import os"], 16, seed=1, **options
    )


def test_stream_is_generate_in_pieces(tiny):
    model, tokenizer = tiny
    [whole] = generate(model, tokenizer, ["def load(self"], 24)
    parts = list(stream(model, tokenizer, "def load(self", 24))
    assert "".join(parts) == whole.text and len(parts) == 4


def test_many_samples_need_a_temperature(tiny):
    with pytest.raises(ValueError, match="samples 2 at temperature 0"):
        generate(*tiny, ["x"], 4, samples=2)

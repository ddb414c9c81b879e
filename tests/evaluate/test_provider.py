"""EvalPlus's own loop over a decoder of this package."""

import json
import pathlib

import pytest

from jaxent.checkpoint import hf
from jaxent.data import corpora, tokens
from jaxent.decode import text
from jaxent.evaluate import humaneval, provider

TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
LINES = [
    {
        "task_id": f"HumanEval/{i}",
        "entry_point": name,
        "prompt": f'\n\ndef {name}(x):\n    """Adds {i}."""\n',
        "canonical_solution": f"    return x + {i}\n",
        "contract": "",
        "base_input": [[1]],
        "plus_input": [[2]],
        "atol": 0,
    }
    for i, name in enumerate(["one", "two", "three"])
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "three.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def test_stops_are_evalplus_s_and_its_list_does_not_grow():
    from evalplus.provider import utility

    before = list(utility.EOS)
    assert (
        *before,
        *utility.extra_eos_for_direct_completion("humaneval"),
    ) == humaneval.STOPS
    for _ in range(2):
        assert tuple(provider.Decoder("x", None).eos) == humaneval.STOPS
    assert before == utility.EOS


def test_evalplus_s_own_loop_writes_the_same_files(file, tmp_path, monkeypatch):
    import evalplus.data.humaneval
    from evalplus import codegen

    def generate(prompts, stops, max_new_tokens, n, temperature):
        assert (stops, max_new_tokens, n, temperature) == (humaneval.STOPS, 768, 1, 0.0)
        name = prompts[0].split("(")[0].split()[-1]
        return [
            f"\tunused = 1\n\treturn helper(x)\n\ndef helper({name}):\n  return 1\n"
        ]

    monkeypatch.setattr(evalplus.data.humaneval, "HUMANEVAL_OVERRIDE_PATH", str(file))
    codegen.codegen(
        str(tmp_path / "theirs.jsonl"),
        provider.Decoder("ours", generate),
        "humaneval",
        greedy=True,
    )
    problems = humaneval.load_problems(file)
    ours = [
        humaneval.finish_sample(
            p, generate([p.prompt], humaneval.STOPS, 768, 1, 0.0)[0]
        )
        for p in problems.items
    ]
    humaneval.append_samples(tmp_path, problems, ours)
    humaneval.write_sanitized(tmp_path, problems)
    for name, theirs in (
        (humaneval.RAW, "theirs.raw.jsonl"),
        (humaneval.SANITIZED, "theirs.jsonl"),
    ):
        assert humaneval.read_samples(tmp_path / name) == humaneval.read_samples(
            tmp_path / theirs
        )
        raw = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        assert all(r.pop("subset") == "subset: 3 of 164 problems" for r in raw)
        assert raw == [
            json.loads(line) for line in (tmp_path / theirs).read_text().splitlines()
        ]


def test_decoder_samples_and_refuses_temperature_0():
    def generate(prompts, stops, max_new_tokens, n, temperature):
        return [f"    return {temperature}\nprint(1)"] * n

    warm = provider.Decoder("m", generate, batch_size=3, temperature=0.8)
    assert warm.codegen("p", do_sample=True, num_samples=5) == ["    return 0.8"] * 3
    assert warm.codegen("p", do_sample=False, num_samples=1) == ["    return 0.0"]
    with pytest.raises(ValueError, match="temperature 0"):
        provider.Decoder("m", generate).codegen("p")


def test_evalplus_decoder_of_a_model():
    model, tokenizer = hf.load(str(TINY), quantize=False), tokens.load_tokenizer(TINY)
    generate = provider.generator(model, tokenizer)
    decoder = provider.Decoder("tiny", generate, max_new_tokens=24)
    [cut] = decoder.codegen("def load(self", do_sample=False)
    [whole] = text.generate(model, tokenizer, ["def load(self"], 24)
    assert whole.text.replace("\t", "    ").startswith(cut) and cut

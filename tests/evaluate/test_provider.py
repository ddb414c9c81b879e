"""EvalPlus's own loop over a decoder of this package."""

import json
import pathlib

import problem_files
import pytest

from jaxent.checkpoint import hf
from jaxent.data import corpora, tokens
from jaxent.decode import text
from jaxent.evaluate import benchmarks, provider, sample_files

TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"


@pytest.fixture
def file(tmp_path):
    return problem_files.write(tmp_path / "three.jsonl", problem_files.HUMANEVAL)


def test_stops_are_evalplus_s_and_its_list_does_not_grow():
    from evalplus.provider import utility

    before = list(utility.EOS)
    assert (
        *before,
        *utility.extra_eos_for_direct_completion("humaneval"),
    ) == benchmarks.HUMANEVAL.stops
    for _ in range(2):
        assert tuple(provider.Decoder("x", None).eos) == benchmarks.HUMANEVAL.stops
    assert before == utility.EOS


def test_evalplus_s_own_loop_writes_the_same_files(file, tmp_path, monkeypatch):
    import evalplus.data.humaneval
    from evalplus import codegen

    def generate(prompts, stops, max_new_tokens, n, temperature):
        assert (stops, max_new_tokens, n, temperature) == (
            benchmarks.HUMANEVAL.stops,
            768,
            1,
            0.0,
        )
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
    problems = benchmarks.load_problems(file)
    ours = [
        sample_files.finish_sample(
            p, generate([p.prompt], benchmarks.HUMANEVAL.stops, 768, 1, 0.0)[0]
        )
        for p in problems.items
    ]
    sample_files.append_samples(tmp_path, problems, ours)
    sample_files.write_sanitized(tmp_path, problems)
    for name, theirs in (
        (sample_files.RAW, "theirs.raw.jsonl"),
        (sample_files.SANITIZED, "theirs.jsonl"),
    ):
        assert sample_files.read_samples(tmp_path / name) == sample_files.read_samples(
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

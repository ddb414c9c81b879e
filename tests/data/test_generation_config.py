"""What ends a generation is what ends it in transformers."""

import json
import shutil

import published_files
import pytest
import transformers

from jaxent.data import generation_config

GENERATION = {"do_sample": True, "temperature": 0.7, "transformers_version": "4.37.0"}
CASES = {
    "several ids": ({"eos_token_id": [7, 9]}, {"eos_token_id": 3}, [7, 9]),
    "one id": ({"eos_token_id": 7}, {}, [7]),
    # transformers takes all settings from the file that is there.
    "a file that says nothing": ({}, {"eos_token_id": 3}, []),
    "no file": (None, {"eos_token_id": 3}, [3]),
    "no file, several ids": (None, {"eos_token_id": [3, 4]}, [3, 4]),
    "null": ({"eos_token_id": None}, {"eos_token_id": 3}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_file_that_is_there_decides(qwen, tmp_path, case):
    generation, model, expected = CASES[case]
    folder = tmp_path / "model"
    shutil.copytree(qwen, folder)
    (folder / "generation_config.json").unlink()
    if generation is not None:
        text = json.dumps(GENERATION | generation)
        (folder / "generation_config.json").write_text(text)
    raw = json.loads((folder / "config.json").read_text()) | model
    (folder / "config.json").write_text(json.dumps(raw))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    stated = theirs.generation_config.eos_token_id
    assert expected == (
        stated if isinstance(stated, list) else [] if stated is None else [stated]
    )
    assert generation_config.read_generation_ends(folder) == expected


def test_nothing_is_no_end_and_nonsense_is_named(tmp_path):
    assert generation_config.read_generation_ends(tmp_path) == []
    file = tmp_path / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": -1}))
    assert generation_config.read_generation_ends(tmp_path) == []
    file.write_text(json.dumps({"eos_token_id": ["</s>"]}))
    with pytest.raises(
        ValueError, match="eos_token_id .*expected a token id or a list"
    ):
        generation_config.read_generation_ends(tmp_path)


@pytest.mark.parametrize("model", published_files.FILES["generation_configs"])
def test_published_settings_that_flags_decide(tmp_path, model):
    case = published_files.FILES["generation_configs"][model]
    (tmp_path / "generation_config.json").write_text(json.dumps(case["file"]))
    assert generation_config.read_unapplied(tmp_path) == case["unapplied"]
    ends = generation_config.read_generation_ends(tmp_path)
    assert ends == case["file"]["eos_token_id"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("suppress_tokens", [3]),
        ("num_beams", 4),
        ("no_repeat_ngram_size", 3),
        ("min_new_tokens", 8),
        ("forced_eos_token_id", 2),
        ("bad_words_ids", [[5]]),
        ("encoder_repetition_penalty", 1.2),
    ],
)
def test_settings_that_change_greedy_decoding_are_found(tmp_path, key, value):
    neutral = {"repetition_penalty": 1.0, "num_beam_groups": 1, "top_k": 50}
    file = tmp_path / "generation_config.json"
    file.write_text(json.dumps(neutral | {key: value}))
    assert generation_config.read_unapplied(tmp_path) == {key: value}

import pytest

from jaxent.report.plots import labels


@pytest.mark.parametrize(
    ("model", "short"),
    [
        ("Qwen2.5-Coder-32B", "Qwen-32B"),
        ("Mistral-7B-v0.3", "Mistral-7B"),
        ("DeepSeek-Coder-6.7B", "DeepSeek-6.7B"),
        ("tiny", "tiny"),
    ],
)
def test_short_names_of_models(model, short):
    assert labels.short_model_name(model) == short


def test_a_run_is_named_by_what_its_key_has():
    strong = {"condition": "B4", "intervention": "strong"}
    assert labels.run_label(strong) == "B4"
    assert labels.run_label(strong | {"lambda": 0.3}) == "B4 λ 0.3"
    assert labels.run_label({"condition": "B2", "intervention": "light"}) == "B2 light"


def test_long_model_names_are_wrapped_between_words():
    key = {"model": "tiny (lora_r 4, max_steps 500, seed 1)", "condition": "B0"}
    *lines, last = labels.group_name(key).split("\n")
    assert last == "B0 "
    assert " ".join(lines) == key["model"] and all(len(line) <= 22 for line in lines)
    key |= {"model": "a", "condition": "B4", "intervention": "light", "lambda": 0.1}
    assert labels.group_name(key) == "a\nB4 light\nλ 0.1"

import numpy as np
import pytest
import torch
import transformers

from jaxent.checkpoint import hf
from jaxent.decode import greedy


def theirs(path, prompts, new):
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    found = []
    for p in prompts:
        ids = torch.tensor([p])
        mask = torch.ones_like(ids)  # otherwise transformers hides tokens that equal the padding token
        out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=new, pad_token_id=0)
        found.append(out[0, len(p) :].tolist())
    return found


def test_ragged_batch_equals_transformers_one_by_one(family):
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, 160, n).tolist() for n in (3, 17, 9)]
    assert greedy.generate(hf.load(family, quantize=False), prompts, 60) == theirs(family, prompts, 60)


def test_once_upon_a_time(stories):
    prompts = [[1, 403, 407, 261, 378], [1, 403, 407]]  # "Once upon a time", and less of it
    assert greedy.generate(hf.load(stories, quantize=False), prompts, 200) == theirs(stories, prompts, 200)


def test_stops_at_eos(qwen):
    model = hf.load(qwen, quantize=False)
    [full] = greedy.generate(model, [[1, 2, 3]], 40)
    eos = full[10]
    assert greedy.generate(model, [[1, 2, 3]], 40, eos) == [full[: full.index(eos) + 1]]


def test_empty_prompts_are_refused(qwen):
    with pytest.raises(ValueError, match="non-empty prompts"):
        greedy.generate(None, [[]], 5)

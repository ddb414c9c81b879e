"""Random prompts and adapters, and transformers' continuations of prompts."""

import jax
import numpy as np
import pytest
import transformers

from jaxent.arrays import lora
from jaxent.model import blocks


def torch_greedy(path, prompts, new, adapter=None):
    """transformers' greedy continuation of each prompt alone."""
    torch = pytest.importorskip("torch")
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    if adapter:
        import peft

        model = peft.PeftModel.from_pretrained(model, adapter).eval()
    model.generation_config.eos_token_id = None
    continuations = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        # Without a mask transformers hides tokens that equal the padding token.
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=new,
            pad_token_id=0,
        )
        continuations.append(out[0, len(prompt) :].tolist())
    return continuations


def ragged(*lengths, vocab=160, seed=0):
    """Random prompts of these lengths."""
    rng = np.random.default_rng(seed)
    return [rng.integers(3, vocab, n).tolist() for n in lengths]


def random_adapter(config, seed=0):
    """An adapter whose B is not zero."""
    key = jax.random.key(seed)
    fresh = lora.init_adapter(
        key,
        lora.LoraConfig(4, 12.0, 0.1),
        config.layers,
        blocks.linear_shapes(config),
    )
    return jax.tree.map(lambda x: x + 0.05 * jax.random.normal(key, x.shape), fresh)

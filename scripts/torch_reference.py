"""What check_equivalence compares with: transformers, PEFT and bitsandbytes.

Everything runs in float32 on the CPU, without dropout.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import peft
import torch
import transformers

from jaxent.arrays import lora
from jaxent.train import step as steps


@dataclasses.dataclass(frozen=True)
class LoraResults:
    """What one framework gives for LoRA on an NF4 base.

    Attributes:
      logits: [B, T, V] with the given adapter, in evaluation mode.
      gradient: of the first step's loss in the factors of the given adapter.
      losses: of the optimizer steps from the initial adapter, in nats.
      adapter: the factors after these steps.
    """

    logits: np.ndarray
    gradient: dict[str, lora.LoraParams]
    losses: list[float]
    adapter: dict[str, lora.LoraParams]


def load_dense(path: str):
    """The unquantised model in evaluation mode."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32
    ).eval()


def load_quantized(path: str, out: str):
    """The checkpoint as transformers and bitsandbytes quantise it.

    Args:
      path: the dense checkpoint.
      out: a folder that the quantised checkpoint is written to.
    """
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path, quantization_config=settings, dtype=torch.float32
    )
    model.save_pretrained(out)
    return model


def logits(model, ids: list[list[int]]) -> np.ndarray:
    """Logits [B, T, V] of unpadded rows of one length."""
    with torch.no_grad():
        return model(torch.tensor(ids)).logits.float().numpy()


def greedy(model, prompt: list[int], new_tokens: int) -> list[int]:
    """Greedy continuation that does not stop at eos."""
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=new_tokens,
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


def lora_factors(model, which: str) -> dict[str, lora.LoraParams]:
    """PEFT's lora_A and lora_B as jaxent's tree.

    Args:
      model: the PEFT model.
      which: "value" or "grad".
    """
    by_path: dict[str, dict[str, dict[int, np.ndarray]]] = {}
    for name, parameter in model.named_parameters():
        if "lora_" not in name:
            continue
        layer, group, module = name.split(".layers.")[1].split(".")[:3]
        side = "a" if "lora_A" in name else "b"
        value = parameter.detach() if which == "value" else parameter.grad
        sides = by_path.setdefault(f"{group}.{module}", {"a": {}, "b": {}})
        sides[side][int(layer)] = value.float().numpy()
    return {
        path: lora.LoraParams(_stack(sides["a"]), _stack(sides["b"]).mT)
        for path, sides in by_path.items()
    }


def _stack(by_layer: dict[int, np.ndarray]) -> np.ndarray:
    return np.stack([by_layer[layer] for layer in sorted(by_layer)])


def step_loss(model, examples: Sequence[np.ndarray]) -> float:
    """Token-mean loss of a step, one unpadded example at a time.

    Leaves the gradient in the parameters.
    """
    count = sum(len(e) - 1 for e in examples)
    total = 0.0
    for example in examples:
        ids = torch.tensor(np.asarray(example, np.int64))
        out = model(ids[None]).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(out, ids[1:], reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total


def train(
    model, groups: Sequence[Sequence[np.ndarray]], config: steps.TrainConfig
) -> list[float]:
    """The Trainer's arithmetic, spelled out: AdamW, clipping, cosine with warm-up.

    Args:
      model: whose trainable parameters are changed.
      groups: the examples of every step.
      config: the optimizer's constants.

    Returns:
      The loss of every step.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(
        trained,
        config.learning_rate,
        (config.beta1, config.beta2),
        config.epsilon,
        config.weight_decay,
    )
    rate = transformers.get_cosine_schedule_with_warmup(
        adam, config.warmup_steps, config.steps
    )
    losses = []
    for examples in groups:
        losses.append(step_loss(model, examples))
        torch.nn.utils.clip_grad_norm_(trained, config.clip)
        adam.step()
        rate.step()
        adam.zero_grad()
    return losses


def train_lora(
    base,
    given: pathlib.Path,
    initial: pathlib.Path,
    groups: Sequence[Sequence[np.ndarray]],
    config: steps.TrainConfig,
) -> LoraResults:
    """Forward, gradient and optimizer steps of PEFT.

    Args:
      base: the quantised model.
      given: folder of the adapter for logits and gradient.
      initial: folder of the adapter that the steps begin with.
      groups: the examples of every step; the first one's logits are given.
      config: the optimizer's constants.
    """
    model = peft.PeftModel.from_pretrained(base, given, is_trainable=True)
    # There is no dropout; bitsandbytes' evaluation kernel rewrites weights
    model.train()
    expected_logits = logits(model, [groups[0][0].tolist()])
    step_loss(model, groups[0])
    gradient = lora_factors(model, "grad")
    model.load_adapter(initial, "default", is_trainable=True)
    model.zero_grad()
    losses = train(model, groups, config)
    return LoraResults(expected_logits, gradient, losses, lora_factors(model, "value"))

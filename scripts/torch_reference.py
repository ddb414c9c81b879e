"""What check_equivalence compares with: transformers, PEFT and bitsandbytes.

Everything runs on the CPU without dropout: in float32, and in float64 within
`Float64Mode`.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import bitsandbytes
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


class Float64Mode(torch.overrides.TorchFunctionMode):
    """Gives float64 wherever float32 is asked for.

    transformers casts norms, rotations and softmax to float32, in a float64 model too.

    Example:
        >>> with Float64Mode():
        ...     torch.ones(2, dtype=torch.float64).to(torch.float32).dtype
        torch.float64
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Calls func with float64 in place of float32."""
        kwargs = kwargs or {}
        if func in (torch.Tensor.view, torch.frombuffer):  # bytes of a file
            return func(*args, **kwargs)
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        args = [_widen(value) for value in args]
        kwargs = {name: _widen(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)


def _widen(value):
    return torch.float64 if value is torch.float32 else value


def to_float64(model):
    """The model in float64: the values of its NF4 weights, its other weights.

    Rotary frequencies and NF4 values are rounded to float32 first, as every framework
    keeps them.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, bitsandbytes.nn.Linear4bit):
                setattr(parent, name, _dense_linear(child))
    return model.double()


def _dense_linear(linear) -> torch.nn.Linear:
    """A linear module with the values of an NF4 one."""
    values = bitsandbytes.functional.dequantize_4bit(
        linear.weight.data, linear.weight.quant_state
    )
    dense = torch.nn.Linear(*values.shape[::-1], bias=linear.bias is not None)
    dense.weight = torch.nn.Parameter(values.float(), requires_grad=False)
    dense.bias = linear.bias
    return dense


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


def count_not_greedy(
    model, prompts: list[list[int]], continuations: list[list[int]]
) -> int:
    """Tokens of continuations that the model ranks below another one.

    Each token is judged after the tokens before it.
    """
    count = 0
    for prompt, continuation in zip(prompts, continuations, strict=True):
        rows = logits(model, [[*prompt, *continuation[:-1]]])[0, len(prompt) - 1 :]
        count += int((rows.argmax(-1) != np.array(continuation)).sum())
    return count


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
      base: the quantised model, or `to_float64` of it; as it was afterwards.
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
    results = LoraResults(
        expected_logits, gradient, losses, lora_factors(model, "value")
    )
    model.unload()
    return results

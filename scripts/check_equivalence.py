"""Checks jaxent against transformers + PEFT + bitsandbytes on a checkpoint of yours.

    pip install -e '.[test]'
    python scripts/check_equivalence.py --model=<folder or Hub id>

One row a check: what was compared, the measured difference, the bound, PASS or FAIL;
exit code 1 if any fails. Everything runs in float32 on the CPU, the model once dense
and once in NF4 in each framework, one after the other: allow about five bytes of memory
and one byte of scratch disk a parameter. The 1M-parameter embedded model takes about a
minute.
"""

import dataclasses
import gc
import pathlib
import sys
import tempfile

from absl import flags

from jaxent import command
from jaxent.model import blocks

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id", required=True)
flags.DEFINE_integer("lora_r", 8, "rank of the adapter (alpha is three times as much)")
flags.DEFINE_integer("batch_size", 4, "examples an optimizer step")
flags.DEFINE_integer("max_length", 128, "tokens an example, at most")
flags.DEFINE_integer("max_steps", 20, "optimizer steps")
flags.DEFINE_integer(
    "max_new_tokens", 64, "tokens decoded greedily from each of two prompts"
)
command.parse(__name__, __doc__)

import bitsandbytes.functional as bnb
import jax
import jax.numpy as jnp
import numpy as np
import peft
import torch
import transformers

from jaxent.arrays import dynamic8, lora, nf4
from jaxent.checkpoint import hf, safetensors_folder
from jaxent.checkpoint import peft as adapters
from jaxent.data import batches, embedded, tokens
from jaxent.decode import loop
from jaxent.model import config as configs
from jaxent.model import transformer
from jaxent.train import step as steps


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison: measured difference and the bound it must not exceed."""

    name: str
    against: str
    difference: float
    bound: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.bound  # False for NaN

    def __str__(self):
        verdict = "PASS" if self.passed else "FAIL"
        return f"{self.name:<34} {self.against:<14} {self.difference:>10.2e} {self.bound:>10.2e}  {verdict}"


def relative(found, expected) -> float:
    """max |found - expected| / max |expected|."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def rows(ids: list[list[int]]):
    """Unpadded prompts of one length as jaxent's (tokens, segments, positions)."""
    array = np.array(ids, np.int32)
    return (
        array,
        np.ones_like(array),
        np.broadcast_to(np.arange(array.shape[1], dtype=np.int32), array.shape),
    )


def logits(model, ids, adapter=None) -> np.ndarray:
    run = jax.jit(lambda m, a, *x: m.logits(m(*x, a)))
    return np.asarray(run(model, adapter, *rows(ids)))


def torch_logits(model, ids) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor(ids)).logits.float().numpy()


def check_dense(path: str, ids, new_tokens: int) -> list[Check]:
    """Unquantised logits and greedy tokens."""
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32
    ).eval()
    expected = torch_logits(theirs, ids)
    prompts = [ids[0][: len(ids[0]) // 2], ids[1]]
    continuations = [_torch_greedy(theirs, p, new_tokens) for p in prompts]
    del theirs
    gc.collect()
    ours = hf.load(path, quantize=False, dtype=jnp.float32)
    found = loop.complete(loop.Runner(ours), prompts, loop.Request(new_tokens))
    wrong = sum(
        a != b
        for mine, their in zip(found, continuations, strict=True)
        for a, b in zip(mine, their, strict=True)
    )
    return [
        Check(
            "logits, float32",
            "transformers",
            relative(logits(ours, ids), expected),
            1e-4,
        ),
        Check(f"greedy tokens, {2 * new_tokens}", "transformers", wrong, 0),
    ]


def _torch_greedy(model, prompt, new_tokens) -> list[int]:
    """Greedy continuation that does not stop at eos."""
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt])
    mask = torch.ones_like(ids)
    out = model.generate(
        ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=new_tokens,
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


def check_nf4(path: str) -> list[Check]:
    """Every linear weight.

    Codes, second-level codes and scales, decoded values, counted where they differ.
    """
    folder = safetensors_folder.open_folder(safetensors_folder.locate(path))
    config = configs.read_config(folder.path)
    decode = jax.jit(nf4.decode, static_argnums=1)
    differ = np.zeros(4, np.int64)
    for row in hf.tensor_table(config):
        for name in hf.tensor_names(row, config) if row.linear else ():
            weight = folder.read(name).astype(np.float32)
            codes, state = bnb.quantize_4bit(
                torch.tensor(weight), quant_type="nf4", compress_statistics=True
            )
            ours = nf4.encode(weight, double=False)
            second = dynamic8.encode(ours.scales, "cpu_grid", state.offset.numpy())
            packed = nf4.Packed(ours.codes, second, ours.shape)
            decoded = np.asarray(decode(nf4.repack(packed), jnp.float32)).T
            pairs = (
                (ours.codes, codes.reshape(-1)),
                (second.codes, state.absmax),
                (second.scales, state.state2.absmax),
                (decoded, bnb.dequantize_4bit(codes, state)),
            )
            differ += [np.count_nonzero(a != b.numpy()) for a, b in pairs]
    names = (
        "NF4 codes, bytes that differ",
        "NF4 second-level codes",
        "NF4 second-level scales",
        "NF4 decoded values",
    )
    return [Check(n, "bitsandbytes", int(d), 0) for n, d in zip(names, differ)]


def quantised_by_bitsandbytes(path: str, out: str):
    """The checkpoint as transformers + bitsandbytes quantise it, in memory and written
    to out.
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


def random_adapter(config, lora_config, seed: int):
    """An adapter whose B is not zero, so that every factor has a gradient."""
    adapter = lora.init_adapter(
        jax.random.key(seed),
        lora_config,
        config.layers,
        blocks.linear_shapes(config),
    )
    keys = jax.random.split(jax.random.key(seed + 1), len(adapter.params))
    filled = {
        path: lora.LoraParams(f.a, 0.02 * jax.random.normal(k, f.b.shape))
        for k, (path, f) in zip(keys, adapter.params.items())
    }
    return lora.Adapter(filled, lora_config)


def torch_factors(model, which: str) -> dict[str, lora.LoraParams]:
    """PEFT's lora_A and lora_B ("value" or "grad") as jaxent's tree."""
    found: dict[str, dict[str, dict[int, np.ndarray]]] = {}
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            layer, group, module = name.split(".layers.")[1].split(".")[:3]
            path, side = f"{group}.{module}", "a" if "lora_A" in name else "b"
            value = parameter.detach() if which == "value" else parameter.grad
            found.setdefault(path, {"a": {}, "b": {}})[side][int(layer)] = (
                value.float().numpy()
            )
    stack = lambda d: np.stack([d[i] for i in sorted(d)])
    return {
        path: lora.LoraParams(stack(sides["a"]), stack(sides["b"]).mT)
        for path, sides in found.items()
    }


def tree_relative(found, expected) -> float:
    """Largest relative L2 difference over the factors of two adapters (or gradients)."""
    norm = lambda x: float(np.linalg.norm(np.asarray(x, np.float64)))
    pairs = [(found[p], expected[p]) for p in expected]
    return max(
        norm(np.asarray(x) - y) / max(norm(y), 1e-30)
        for f, e in pairs
        for x, y in ((f.a, e.a), (f.b, e.b))
    )


def torch_loss(model, examples) -> torch.Tensor:
    """Token-mean loss of a step, one unpadded example at a time.

    Leaves the gradient in the parameters.
    """
    count = sum(len(e) - 1 for e in examples)
    total = 0.0
    for ids in examples:
        ids = torch.tensor(np.asarray(ids, np.int64))
        out = model(ids[None]).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(out, ids[1:], reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total


def torch_train(model, groups, hyper: steps.TrainConfig) -> list[float]:
    """The Trainer's arithmetic, spelled out.

    AdamW, clipping, cosine schedule with warmup.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(
        trained,
        hyper.learning_rate,
        (hyper.beta1, hyper.beta2),
        hyper.epsilon,
        hyper.weight_decay,
    )
    rate = transformers.get_cosine_schedule_with_warmup(
        adam, hyper.warmup_steps, hyper.steps
    )
    losses = []
    for examples in groups:
        losses.append(torch_loss(model, examples))
        torch.nn.utils.clip_grad_norm_(trained, hyper.clip)
        adam.step()
        rate.step()
        adam.zero_grad()
    return losses


def check_qlora(
    path: str,
    examples: list[np.ndarray],
    lora_config: lora.LoraConfig,
    hyper: steps.TrainConfig,
) -> list[Check]:
    """LoRA on the same NF4 bytes: forward, gradient, optimizer steps."""
    config = configs.read_config(safetensors_folder.locate(path))
    per_step = len(examples) // hyper.steps
    groups = [examples[i * per_step : (i + 1) * per_step] for i in range(hyper.steps)]
    ids = [examples[0].tolist()]
    start = lora.init_adapter(
        jax.random.key(0), lora_config, config.layers, blocks.linear_shapes(config)
    )
    filled = random_adapter(config, lora_config, 1)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        base = quantised_by_bitsandbytes(path, str(scratch / "base"))
        adapters.save_adapter(filled, scratch / "filled", path)
        adapters.save_adapter(start, scratch / "start", path)
        ours = hf.load(str(scratch / "base"))
        theirs = peft.PeftModel.from_pretrained(
            base, scratch / "filled", is_trainable=True
        )
        # There is no dropout; bitsandbytes' evaluation kernel rewrites weights
        theirs.train()
        expected = torch_logits(theirs, ids)
        torch_loss(theirs, groups[0])
        expected_gradient = torch_factors(theirs, "grad")
        theirs.load_adapter(scratch / "start", "default", is_trainable=True)
        theirs.zero_grad()
        expected_losses = torch_train(theirs, groups, hyper)
        expected_adapter = torch_factors(theirs, "value")
        del base, theirs
        gc.collect()
    compute = transformer.ComputeConfig()
    length = max(map(len, examples))
    packed = []
    for group in groups:
        batch, used = batches.pack(group, length * 2, rows=per_step)
        packed.append((steps.shard_batch(batch, 1, None), used))
    gradient = jax.jit(
        lambda m, a, b, r: steps.step_gradient(m, a, b, r, None, compute=compute)[1]
    )
    found_gradient = gradient(ours, filled, *packed[0])
    state, losses, step = (
        steps.init_state(start, hyper),
        [],
        steps.jit_train_step(hyper, compute),
    )
    for batch, used in packed:
        state, metrics = step(state, ours, batch, used, jax.random.key(0))
        losses.append(metrics.loss.item())
    loss_gap = float(np.max(np.abs(np.array(losses) / np.array(expected_losses) - 1)))
    return [
        Check(
            "LoRA on NF4, logits",
            "PEFT",
            relative(logits(ours, ids, filled), expected),
            1e-4,
        ),
        Check(
            "LoRA on NF4, gradient",
            "PEFT",
            tree_relative(found_gradient.params, expected_gradient),
            1e-4,
        ),
        Check(f"{hyper.steps} optimizer steps, losses", "torch", loss_gap, 1e-5),
        Check(
            f"{hyper.steps} optimizer steps, adapter",
            "torch",
            tree_relative(state.adapter.params, expected_adapter),
            1e-3,
        ),
    ]


def sample(path: str, count: int, length: int) -> list[np.ndarray]:
    """Examples of real text in the checkpoint's own tokens, code and prose in turn."""
    tokenizer = tokens.load_tokenizer(path)
    texts = [
        t
        for pair in zip(embedded.examples("code"), embedded.examples("natural"))
        for t in pair
    ][:count]
    return [np.array(ids[:length], np.int32) for ids in tokenizer.encode(texts)]


def main():
    path = str(safetensors_folder.locate(FLAGS.model))
    examples = sample(path, FLAGS.batch_size * FLAGS.max_steps, FLAGS.max_length)
    lora_config = lora.LoraConfig(FLAGS.lora_r, 3.0 * FLAGS.lora_r, dropout=0.0)
    hyper = steps.TrainConfig(
        steps=FLAGS.max_steps, learning_rate=1e-3, warmup_ratio=0.1
    )
    shortest = min(map(len, examples))
    ids = [e[:shortest].tolist() for e in examples[:2]]
    print(f"{'check':<34} {'against':<14} {'difference':>10} {'bound':>10}")
    failed = 0
    for group in (
        lambda: check_dense(path, ids, FLAGS.max_new_tokens),
        lambda: check_nf4(path),
        lambda: check_qlora(path, examples, lora_config, hyper),
    ):
        for check in group():
            print(check, flush=True)
            failed += not check.passed
        gc.collect()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    command.run(main)

"""Trains an embedded checkpoint of the Qwen2 architecture from the embedded texts.

    python scripts/pretrain_tiny.py --output_dir=jaxent/data/checkpoints/tiny

About a million parameters; the wall time and losses of the committed checkpoints are in
docs/benchmarks.md. Writes a Hugging Face folder (config.json, model.safetensors in
bfloat16, tokenizer files) and pretraining.json: held-out loss per domain, in nats a
token, beside a unigram model's.
"""

import functools
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pretrain_tiny_tokenizer
import tqdm
from absl import app, flags
from flax import nnx

from jaxent.checkpoint import hf
from jaxent.data import embedded, tokens
from jaxent.model import config as configs
from jaxent.model import transformer

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "output_dir", "runs/tiny_checkpoint", "folder to write the checkpoint to"
)
flags.DEFINE_integer("hidden_size", 128, "embedding width")
flags.DEFINE_integer("layers", 4, "number of layers")
flags.DEFINE_integer("vocab", 2048, "size of the byte-level BPE vocabulary")
flags.DEFINE_integer("max_steps", 800, "optimizer steps")
flags.DEFINE_integer("batch", 16, "rows a step")
flags.DEFINE_integer("max_length", 256, "tokens a row")
flags.DEFINE_float("learning_rate", 4e-3, "peak learning rate (cosine, 5% warmup)")
flags.DEFINE_integer("seed", 0, "seed of the weights and of the order of the data")

DOMAINS = ("code", "natural", "math", "creative")
SETTINGS = (
    "hidden_size",
    "layers",
    "vocab",
    "max_steps",
    "batch",
    "max_length",
    "learning_rate",
    "seed",
)


def raw_config(width: int, layers: int, vocab: int) -> dict:
    """config.json of a Qwen2 model: heads of 32, two queries a key, mlp 3 widths."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 32,
        "num_key_value_heads": width // 64,
        "vocab_size": vocab,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "bos_token_id": None,
        "eos_token_id": 0,
        "torch_dtype": "bfloat16",
    }


def stream(tokenizer, texts: list[str]) -> np.ndarray:
    """Documents joined by the end-of-text token, int32 [tokens]."""
    return np.concatenate(
        [
            np.array([*ids, tokenizer.eos_id], np.int32)
            for ids in tokenizer.encode(texts)
        ]
    )


def rows(streams, rng, batch: int, length: int) -> np.ndarray:
    """Windows of length + 1 tokens, an equal share from each domain."""
    windows = []
    for row in range(batch):
        ids = streams[row % len(streams)]
        start = rng.integers(len(ids) - length - 1)
        windows.append(ids[start : start + length + 1])
    return np.stack(windows)


def loss_of(model, window) -> jax.Array:
    """Mean nats a token of [B, T + 1] windows."""
    ids, targets = window[:, :-1], window[:, 1:]
    positions = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
    logits = model.logits(model(ids, jnp.ones_like(ids), positions))
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


def unigram_loss(train: np.ndarray, held_out: np.ndarray, vocab: int) -> float:
    """Nats a token of held_out under add-one smoothed counts of train."""
    counts = np.bincount(train, minlength=vocab) + 1
    return float(-np.log(counts / counts.sum())[held_out].mean())


def held_out_loss(model, ids: np.ndarray, length: int, batch: int = 16) -> float:
    """Mean nats a token over all whole windows of a held-out stream."""
    count = (len(ids) - 1) // length
    windows = np.stack([ids[i * length : (i + 1) * length + 1] for i in range(count)])
    windows = windows[: max(batch, count - count % batch)]
    score = jax.jit(loss_of)
    starts = range(0, len(windows), batch)
    losses = [score(model, windows[start : start + batch]) for start in starts]
    return float(np.mean(losses))


def train(model, streams, rng):
    """AdamW on all parameters; returns the trained model."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0,
        FLAGS.learning_rate,
        FLAGS.max_steps // 20,
        FLAGS.max_steps,
        FLAGS.learning_rate / 50,
    )
    tx = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.98, weight_decay=0.05)
    )

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(model, moments, window):
        loss, gradient = jax.value_and_grad(loss_of)(model, window)
        updates, moments = tx.update(gradient, moments, model)
        return optax.apply_updates(model, updates), moments, loss

    moments = tx.init(model)
    bar = tqdm.trange(FLAGS.max_steps, desc="pretrain", mininterval=5)
    for _ in bar:
        model, moments, loss = step(
            model, moments, rows(streams, rng, FLAGS.batch, FLAGS.max_length)
        )
        bar.set_postfix(loss=f"{float(loss):.3f}", refresh=False)
    return model


def report_losses(model, splits) -> dict[str, dict]:
    """Held-out losses by domain, in nats a token.

    Args:
        model: The trained model.
        splits: {domain: [tokens to train on, held-out tokens]}.

    Returns:
        {domain: the model's loss, those of two unigram models, the training tokens}.
    """
    vocab = FLAGS.vocab
    everything = np.concatenate([trained for trained, _ in splits.values()])
    losses = {}
    for domain, (trained, held_out) in splits.items():
        loss = held_out_loss(model, held_out, FLAGS.max_length)
        unigram = unigram_loss(everything, held_out, vocab)
        domain_unigram = unigram_loss(trained, held_out, vocab)
        losses[domain] = {
            "held_out_loss": round(loss, 4),
            "unigram_loss": round(unigram, 4),
            "domain_unigram_loss": round(domain_unigram, 4),
            "train_tokens": len(trained),
        }
    return losses


def main(_) -> None:
    """Trains the tokenizer and the model, and writes the folder."""
    started = time.time()
    out = pathlib.Path(FLAGS.output_dir)
    trained_tokenizer = pretrain_tiny_tokenizer.train_tokenizer(FLAGS.vocab)
    pretrain_tiny_tokenizer.save(trained_tokenizer, out)
    tokenizer = tokens.load_tokenizer(str(out))
    splits = {
        d: [stream(tokenizer, texts) for texts in embedded.split(d)] for d in DOMAINS
    }
    sizes = {domain: [len(ids) for ids in pair] for domain, pair in splits.items()}
    print(sizes, "tokens (train, held out)")
    raw = raw_config(FLAGS.hidden_size, FLAGS.layers, FLAGS.vocab)
    model = transformer.Transformer(configs.from_dict(raw), nnx.Rngs(FLAGS.seed))
    rng = np.random.default_rng(FLAGS.seed)
    model = train(model, [splits[d][0] for d in DOMAINS], rng)
    hf.save(model, out, raw, jnp.bfloat16)
    saved = hf.load(str(out), quantize=False, dtype=jnp.float32)
    record = {
        "domains": report_losses(saved, splits),
        "settings": {name: FLAGS[name].value for name in SETTINGS},
        "minutes": round((time.time() - started) / 60, 1),
    }
    text = json.dumps(record, indent=1) + "\n"
    (out / "pretraining.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    app.run(main)

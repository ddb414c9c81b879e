"""Continues a prompt and prints the text as it comes.

    python experiments/generate.py --model=Qwen/Qwen2.5-Coder-7B --adapter=runs/qwen7b_b3_0/adapter --prompt='def fib(n):'
    echo 'Once upon a time' | python experiments/generate.py --preset=tiny

Greedy unless --temperature is given. A 7B model with NF4 weights takes about 6 GB.
"""

import pathlib
import sys

from absl import app, flags, logging

from jaxent.checkpoint import hf, peft
from jaxent.data import corpora
from jaxent.decode import choose, stream
from jaxent.model import transformer
from jaxent.study import prepare

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id")
flags.DEFINE_string("adapter", None, "PEFT adapter folder")
flags.DEFINE_enum("preset", "none", ["none", "tiny"], "tiny: the embedded checkpoint")
flags.DEFINE_string("prompt", None, "text to continue (default: standard input)")
flags.DEFINE_integer("max_new", 256, "new tokens")
flags.DEFINE_float("temperature", 0.0, "0: greedy")
flags.DEFINE_float("top_p", 1.0, "share of the probability that is sampled from")
flags.DEFINE_integer("seed", 0, "seed of sampling")
flags.DEFINE_bool("quantize", True, "NF4 with double quantisation; otherwise the checkpoint's own weights")
flags.DEFINE_enum("dtype", None, ["float32", "bfloat16"], "arithmetic (default: float32 on CPU, else bfloat16)")


def main(_):
    logging.set_verbosity(logging.WARNING)
    if FLAGS.preset == "tiny" and not FLAGS.model:
        FLAGS.model = str(pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny")
    try:
        if not FLAGS.model:
            raise ValueError("--model is missing (or use --preset=tiny)")
        choose.Sampling(FLAGS.temperature, FLAGS.top_p)
        found = prepare.checkpoint(FLAGS.model)
        folder, config, tokenizer = found.folder, found.config, found.tokenizer
        adapter, spec = peft.load(FLAGS.adapter, config) if FLAGS.adapter else (None, None)
        prompt = FLAGS.prompt if FLAGS.prompt is not None else sys.stdin.read().removesuffix("\n")
        if not tokenizer.encode([prompt])[0]:
            raise ValueError("the prompt is empty: expected some text in --prompt or standard input")
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"generate: {error}")
    model = hf.load(str(folder), FLAGS.quantize, progress=True)
    print(prompt, end="", flush=True)
    options = {"temperature": FLAGS.temperature, "top_p": FLAGS.top_p, "seed": FLAGS.seed}
    for text in stream(
        model, tokenizer, prompt, FLAGS.max_new, adapter=adapter, spec=spec, compute=transformer.default_compute(FLAGS.dtype), **options
    ):
        print(text, end="", flush=True)
    print()


if __name__ == "__main__":
    app.run(main)

"""Continues a prompt and prints the text as it comes.

    python experiments/generate.py --model=Qwen/Qwen2.5-Coder-7B --adapter=runs/qwen7b_b3_0/adapter --prompt='def fib(n):'
    echo 'Once upon a time' | python experiments/generate.py --preset=tiny

Greedy unless --temperature is given. A 7B model with NF4 weights takes about 6 GB.
"""

import pathlib
import sys

import device_flags
from absl import app, flags, logging

from jaxent.arrays import processes
from jaxent.checkpoint import hf, peft
from jaxent.data import corpora
from jaxent.decode import choose, stream
from jaxent.model import sharding, transformer
from jaxent.study import prepare

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id")
flags.DEFINE_string("adapter", None, "PEFT adapter folder")
flags.DEFINE_enum("preset", "paper", ["paper", "tiny"], "paper: the published settings; tiny: the embedded checkpoint")
flags.DEFINE_string("prompt", None, "text to continue (default: standard input)")
flags.DEFINE_integer("max_new", 256, "new tokens")
flags.DEFINE_float("temperature", 0.0, "0: greedy")
flags.DEFINE_float("top_p", 1.0, "share of the probability that is sampled from")
flags.DEFINE_integer("seed", 0, "seed of sampling")
flags.DEFINE_bool("quantize", True, "NF4 with double quantisation; otherwise the checkpoint's own weights")
flags.DEFINE_enum("dtype", None, ["float32", "bfloat16"], "arithmetic (default: float32 on CPU, else bfloat16)")
flags.adopt_module_key_flags(device_flags)


def prompt() -> str:
    """--prompt, or what stands on the first process's standard input."""
    return FLAGS.prompt if FLAGS.prompt is not None else processes.by_first(lambda: sys.stdin.read().removesuffix("\n"))


@processes.guarded()
def main(_):
    logging.set_verbosity(logging.WARNING)
    if FLAGS.preset == "tiny" and not FLAGS.model:
        FLAGS.model = str(pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny")
    try:
        if not FLAGS.model:
            raise ValueError("--model is missing (or use --preset=tiny)")
        mesh = device_flags.start()
        choose.Sampling(FLAGS.temperature, FLAGS.top_p)
        found = prepare.checkpoint(FLAGS.model)
        folder, config, tokenizer = found.folder, found.config, found.tokenizer
        adapter, spec = peft.load(FLAGS.adapter, config) if FLAGS.adapter else (None, None)
        if mesh is not None:
            sharding.check(hf.abstract(config, FLAGS.quantize), mesh)
        begun = prompt()
        if not tokenizer.encode([begun])[0]:
            raise ValueError("the prompt is empty: expected some text in --prompt or standard input")
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"generate: {error}")
    model = hf.load(str(folder), FLAGS.quantize, progress=processes.first(), mesh=mesh)
    adapter = sharding.shard_adapter(adapter, mesh) if mesh is not None and adapter is not None else adapter
    say = lambda text: processes.first() and print(text, end="", flush=True)
    say(begun)
    options = {"temperature": FLAGS.temperature, "top_p": FLAGS.top_p, "seed": FLAGS.seed}
    compute = transformer.default_compute(FLAGS.dtype, mesh)
    for text in stream(model, tokenizer, begun, FLAGS.max_new, adapter=adapter, spec=spec, compute=compute, **options):
        say(text)
    say("\n")


if __name__ == "__main__":
    app.run(main)

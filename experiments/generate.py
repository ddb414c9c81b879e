"""Continues a prompt and prints the text as it comes.

    python experiments/generate.py --model=Qwen/Qwen2.5-Coder-7B --adapter=runs/qwen7b_b3_0/adapter --prompt='def fib(n):'
    echo 'Once upon a time' | python experiments/generate.py --preset=tiny

Greedy unless --temperature is given. A 7B model with NF4 weights takes about 6 GB.
"""

import sys

import checkpoint_flags
import device_flags
from absl import app, flags

from jaxent.decode import choose, stream
from jaxent.distributed import processes

FLAGS = flags.FLAGS
flags.DEFINE_string("prompt", None, "text to continue (default: standard input)")
flags.DEFINE_integer("max_new_tokens", 256, "new tokens")
flags.DEFINE_float("temperature", 0.0, "0: greedy")
flags.DEFINE_float("top_p", 1.0, "share of the probability that is sampled from")
flags.DEFINE_integer("seed", 0, "seed of sampling")
flags.adopt_module_key_flags(checkpoint_flags)


def prompt() -> str:
    """--prompt, or what stands on the first process's standard input."""
    return (
        FLAGS.prompt
        if FLAGS.prompt is not None
        else processes.broadcast_from_primary(
            lambda: sys.stdin.read().removesuffix("\n")
        )
    )


@processes.exit_together()
def main(_):
    try:
        checkpoint_flags.begin({})
        device_flags.start()
        choose.Sampling(FLAGS.temperature, FLAGS.top_p)
        found, adapter = checkpoint_flags.opened()
        mesh = checkpoint_flags.mesh(found)
        begun = prompt()
        if not found.tokenizer.encode([begun])[0]:
            raise ValueError(
                "the prompt is empty: expected some text in --prompt or standard input"
            )
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"generate: {error}")
    model, adapter, compute = checkpoint_flags.loaded(found, adapter, mesh)
    say = lambda text: processes.is_primary() and print(text, end="", flush=True)
    say(begun)
    options = {
        "temperature": FLAGS.temperature,
        "top_p": FLAGS.top_p,
        "seed": FLAGS.seed,
    }
    for text in stream(
        model,
        found.tokenizer,
        begun,
        FLAGS.max_new_tokens,
        adapter=adapter,
        compute=compute,
        **options,
    ):
        say(text)
    say("\n")


if __name__ == "__main__":
    app.run(main)

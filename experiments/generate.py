r"""Continues a prompt and prints the text as it comes.

    python experiments/generate.py --model=Qwen/Qwen2.5-Coder-7B \
        --adapter=runs/qwen7b_b3_0/adapter --prompt='def fib(n):'
    echo 'Once upon a time' | python experiments/generate.py --preset=tiny

Greedy unless --temperature is given. A 7B model with NF4 weights takes about 6 GB.
"""

import sys

import checkpoint_flags
from absl import flags

from jaxent import command, json_files

FLAGS = flags.FLAGS
flags.DEFINE_string("prompt", None, "text to continue (default: standard input)")
flags.DEFINE_integer("max_new_tokens", 256, "new tokens")
flags.DEFINE_float("temperature", 0.0, "0: greedy")
flags.DEFINE_float("top_p", 1.0, "share of the probability that is sampled from")
flags.DEFINE_integer("seed", 0, "seed of sampling")
flags.adopt_module_key_flags(checkpoint_flags)
command.parse(__name__, __doc__)

import checkpoints
import devices

from jaxent.decode import choose, stream
from jaxent.distributed import processes
from jaxent.model import trained


def read_prompt() -> str:
    """--prompt, or the first process's standard input."""
    if FLAGS.prompt is not None:
        return FLAGS.prompt

    def read() -> str:
        content = sys.stdin.buffer.read()
        return json_files.decode_text(content, "standard input").removesuffix("\n")

    return processes.broadcast_from_primary(read)


def say(text: str) -> None:
    """Prints text as it is, once."""
    if processes.is_primary():
        print(text, end="", flush=True)


@processes.exit_together()
def main() -> None:
    """Checks everything, then generates."""
    try:
        checkpoints.begin({})
        devices.start()
        choose.Sampling(FLAGS.temperature, FLAGS.top_p)
        checkpoint, tuned = checkpoints.open_all()
        mesh = checkpoints.choose_mesh(checkpoint)
        prompt = read_prompt()
        if not checkpoint.tokenizer.encode([prompt])[0]:
            raise ValueError(
                "the prompt is empty: expected some text in --prompt or standard input"
            )
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"generate: {error}")
    base, tuned, compute = checkpoints.load(checkpoint, tuned, mesh)
    model, adapter = trained.split(base, tuned)
    say(prompt)
    pieces = stream(
        model,
        checkpoint.tokenizer,
        prompt,
        FLAGS.max_new_tokens,
        temperature=FLAGS.temperature,
        top_p=FLAGS.top_p,
        seed=FLAGS.seed,
        adapter=adapter,
        compute=compute,
    )
    for text in pieces:
        say(text)
    say("\n")


if __name__ == "__main__":
    command.run(main)

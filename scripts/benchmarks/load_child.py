"""A child process of the benchmark of loading: loads a checkpoint into NF4.

    python scripts/benchmarks/load_child.py jaxent FOLDER

Its last line is JSON: seconds by the clock and of the processor, and the bytes of
memory that the process held before it loaded.
"""

import json
import os
import pathlib
import sys
import time
from collections.abc import Callable


def jaxent_loader() -> Callable[[str], object]:
    """Our loader, imported."""
    import jax

    from jaxent.checkpoint import hf

    return lambda folder: jax.block_until_ready(hf.load(folder))


def bitsandbytes_loader() -> Callable[[str], object]:
    """The loader of transformers, imported."""
    import bitsandbytes
    import torch
    import transformers

    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )

    def load(folder: str) -> object:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            quantization_config=settings,
            device_map="cpu",
            dtype=torch.bfloat16,
        )
        kinds = {type(module) for module in model.modules()}
        assert bitsandbytes.nn.Linear4bit in kinds
        return model

    return load


LOADERS = {"jaxent": jaxent_loader, "bitsandbytes": bitsandbytes_loader}


def anonymous_bytes(pid: int) -> int:
    """Memory that a process itself holds now; 0 where /proc does not say."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = (line for line in status.splitlines() if line.startswith("RssAnon"))
    return sum(int(line.split()[1]) * 1024 for line in lines)


def main() -> None:
    """Loads, and prints what that took."""
    if len(sys.argv) != 3 or sys.argv[1] not in LOADERS:
        sys.exit(f"load_child: expected one of {', '.join(LOADERS)} and a folder")
    load = LOADERS[sys.argv[1]]()
    before = anonymous_bytes(os.getpid())
    wall, processor = time.perf_counter(), time.process_time()
    model = load(sys.argv[2])
    took = {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "before": before,
    }
    del model
    print(json.dumps(took))


if __name__ == "__main__":
    main()

"""The protocol of benchmark_loading's child processes.

A child says "ready" when its libraries are imported, waits for a line, loads the folder
of its command line, and answers with the seconds and the bytes of the model.
"""

import sys
import time
from collections.abc import Callable


def answer(load: Callable[[str], int]) -> None:
    """Loads when told to, and prints seconds and bytes.

    Args:
      load: from a folder to the bytes of the loaded model.
    """
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("a child of benchmark_loading.py: expected one folder of a checkpoint")
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    size = load(sys.argv[1])
    print(time.perf_counter() - started, size, flush=True)

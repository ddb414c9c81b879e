"""Fails on every process alike ("forwarded", "alike"), or on one alone."""

import sys
import time

from jaxent.distributed import processes


def refused():
    """What the first process cannot do."""
    raise OSError(28, "No space left on device", "/runs/x")


@processes.exit_together()
def main():
    """Does as the command line says."""
    processes.initialize()
    number = (9 << 30) + (1 if processes.is_primary() else 0)
    print("LEAST", processes.all_min(number), flush=True)
    if sys.argv[1] == "forwarded":
        try:
            processes.broadcast_from_primary(refused)
        except (ValueError, OSError) as error:
            sys.exit(f"script: {error}")
    if sys.argv[1] == "alike":
        time.sleep(0 if processes.is_primary() else 3)
        sys.exit("script: wrong everywhere")
    for step in range(10000):
        processes.broadcast_from_primary(lambda: "on")
        if step == 3 and not processes.is_primary():
            raise RuntimeError("broken here alone")


main()

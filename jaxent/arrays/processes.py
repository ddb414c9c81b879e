"""Several processes of one program: the same command on every host, joined by JAX's distributed runtime."""

import os
import sys
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

_HEARTBEAT = 60  # seconds without a sign of life after which a process counts as lost, and the others end


def start() -> None:
    """Joins the other processes, if the environment says that there are any; before anything else of JAX is used.

    JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID say so by hand, whatever the cluster; on a TPU pod
    slice, under SLURM, Open MPI or Kubernetes JobSet, JAXENT_DISTRIBUTED=1 lets JAX find them. Otherwise this process is alone.
    JAXENT_HEARTBEAT: seconds after which a lost process ends the others (60).
    """
    address, automatic = os.environ.get("JAX_COORDINATOR_ADDRESS"), os.environ.get("JAXENT_DISTRIBUTED") == "1"
    if not address and not automatic:
        return
    timeout = int(os.environ.get("JAXENT_HEARTBEAT", _HEARTBEAT))
    named = {}
    if address:
        try:
            named = {"num_processes": int(os.environ["JAX_NUM_PROCESSES"]), "process_id": int(os.environ["JAX_PROCESS_ID"])}
        except (KeyError, ValueError) as error:
            raise ValueError(f"JAX_COORDINATOR_ADDRESS is {address!r}, but {error}: expected JAX_NUM_PROCESSES and JAX_PROCESS_ID too") from error
    jax.distributed.initialize(address, heartbeat_timeout_seconds=timeout, initialization_timeout=300, **named)


def first() -> bool:
    """Whether this process is the one that writes results and shows progress."""
    return jax.process_index() == 0


def by_first(make: Callable[[], str | None]) -> str | None:
    """make() of the first process, on every one; its ValueError or FileNotFoundError is every one's ValueError."""
    if jax.process_count() == 1:
        return make()
    found, refused = None, False
    if first():
        try:
            found = make()
        except (ValueError, FileNotFoundError) as error:
            found, refused = str(error), True
    text = _shared("" if found is None else found)
    refused, none = multihost_utils.broadcast_one_to_all(np.array([refused, found is None]))
    if refused:
        raise ValueError(text)
    return None if none else text


def _shared(text: str) -> str:
    """The first process's text."""
    data = np.frombuffer(text.encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    padded = np.zeros(size, np.uint8)
    padded[: len(data) if first() else 0] = data if first() else 0
    return multihost_utils.broadcast_one_to_all(padded).tobytes().decode() if size else ""


def least(number: int) -> int:
    """The least of the processes' numbers."""
    return number if jax.process_count() == 1 else int(multihost_utils.process_allgather(np.int64(number)).min())


def lost(error: Exception) -> str | None:
    """What to say of an error that means that another process has gone; None for any other error."""
    signs = ("Gloo", "heartbeat", "coordination service", "Connection reset", "Connection closed", "DEADLINE_EXCEEDED", "UNAVAILABLE")
    if jax.process_count() > 1 and any(sign.lower() in str(error).lower() for sign in signs):
        return f"another process of the {jax.process_count()} was lost ({str(error).strip().splitlines()[0]}); start all again with --resume"
    return None


def end(message: str) -> None:
    """Ends this process at once, without the exchange at exit that would wait for those that are gone."""
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)

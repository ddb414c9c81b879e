"""Several processes of one program: the same command on every host, joined by JAX's distributed runtime."""

import contextlib
import itertools
import os
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax._src import distributed  # its client alone can wait for others with a limit
from jax.experimental import multihost_utils

T = TypeVar("T")
_HEARTBEAT = 60  # seconds without a sign of life after which a process counts as lost, and the others end
_JOIN = 300  # seconds that a process waits for the others at the start
_ALIKE = 15  # seconds that a failed process waits for the others to fail as it did
_failures = itertools.count()


def initialize() -> None:
    """Joins the other processes, if the environment says that there are any; before anything else of JAX is used.

    JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID say so by hand, whatever the cluster; on a TPU pod
    slice, under SLURM, Open MPI or Kubernetes JobSet, JAXENT_DISTRIBUTED=1 lets JAX find them (under SLURM and Open MPI with one
    GPU a process, unless JAX_LOCAL_DEVICE_IDS names more). Otherwise this process is alone.
    JAXENT_HEARTBEAT: seconds after which a lost process ends the others (60). JAXENT_JOIN: seconds to wait for the others (300).
    """
    address, automatic = (
        os.environ.get("JAX_COORDINATOR_ADDRESS"),
        os.environ.get("JAXENT_DISTRIBUTED") == "1",
    )
    if not address and not automatic:
        return
    heartbeat, join = (
        int(os.environ.get(name, usual))
        for name, usual in (("JAXENT_HEARTBEAT", _HEARTBEAT), ("JAXENT_JOIN", _JOIN))
    )
    named = {}
    if address:
        try:
            named = {
                "num_processes": int(os.environ["JAX_NUM_PROCESSES"]),
                "process_id": int(os.environ["JAX_PROCESS_ID"]),
            }
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"JAX_COORDINATOR_ADDRESS is {address!r}, but {error}: expected JAX_NUM_PROCESSES and JAX_PROCESS_ID too"
            ) from error
    jax.distributed.initialize(
        address,
        heartbeat_timeout_seconds=heartbeat,
        initialization_timeout=join,
        **named,
    )


def is_primary() -> bool:
    """Whether this process is the one that writes results and shows progress."""
    return jax.process_index() == 0


def shutdown() -> bool:
    """Parts the processes: from here on none waits for another, and nothing may be exchanged. Whether this is the first."""
    one = is_primary()
    jax.distributed.shutdown()
    return one


def broadcast_from_primary(make: Callable[[], str | None]) -> str | None:
    """make() of the first process, on every one; what is raised there is every one's ValueError."""
    if jax.process_count() == 1:
        return make()
    found, refused = None, False
    if is_primary():
        try:
            found = make()
        except Exception as error:
            found, refused = _reason(error), True
    text = _shared("" if found is None else found)
    refused, none = multihost_utils.broadcast_one_to_all(
        np.array([refused, found is None])
    )
    if refused:
        raise ValueError(text)
    return None if none else text


def _reason(error: Exception) -> str:
    """An error's message; of one that nobody foresaw also its type, and its traceback on standard error."""
    if isinstance(error, (ValueError, OSError)):
        return str(error)
    traceback.print_exc()
    return f"{type(error).__name__}: {error}"


def primary_then_all(make: Callable[[], T]) -> T:
    """make() on every process, on the first before the others: what it downloads is there for them."""
    found = []
    broadcast_from_primary(lambda: found.append(make()))
    return found[0] if found else make()


def _shared(text: str) -> str:
    """The first process's text."""
    data = np.frombuffer(text.encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    padded = np.zeros(size, np.uint8)
    padded[: len(data) if is_primary() else 0] = data if is_primary() else 0
    return (
        multihost_utils.broadcast_one_to_all(padded).tobytes().decode() if size else ""
    )


def all_min(number: int) -> int:
    """The least of the processes' numbers."""
    if jax.process_count() == 1:
        return number
    words = np.array([number], np.int64).view(np.int32)  # JAX would cut 64 bits to 32
    return int(multihost_utils.process_allgather(words).view(np.int64).min())


@contextlib.contextmanager
def exit_together():
    """Of several processes, one that fails alone in the block ends at once, so that the others end too at their next exchange.

    Without it, it would wait for them at its exit and they for it. An error that all of them raise alike passes through.
    """
    try:
        yield
    except KeyboardInterrupt:
        if distributed.global_state.client is not None:
            exit_now("interrupted")
        raise
    except SystemExit as left:
        if left.code:
            barrier_on_failure(left)
        raise
    except Exception as error:
        barrier_on_failure(error)
        raise


def barrier_on_failure(error: BaseException) -> None:
    """Returns once every process has failed as this one has, with `error`; ends this process where the others go on or are lost."""
    state = distributed.global_state
    if state.client is None:
        return
    if gone := describe_lost_process(error):
        exit_now(gone)
    try:
        state.client.wait_at_barrier(f"jaxent failed {next(_failures)}", 1000 * _ALIKE)
    except Exception:
        text = (
            str(error)
            if isinstance(error, SystemExit)
            else "".join(traceback.format_exception(error)).rstrip()
        )
        exit_now(
            f"{text}\nProcess {state.process_id} of {state.num_processes} failed alone: the others end at their next exchange"
        )


def describe_lost_process(error: BaseException) -> str | None:
    """What to say of an error that means that another process has gone; None for any other error."""
    signs = (
        "Gloo",
        "gloo",
        "remote process exited",
        "heartbeat",
        "coordination service",
        "DEADLINE_EXCEEDED",
        "UNAVAILABLE",
    )
    state = distributed.global_state
    if state.client is not None and any(sign in str(error) for sign in signs):
        return f"another process of the {state.num_processes} was lost ({str(error).strip().splitlines()[0]}); start all again with --resume"
    return None


def exit_now(message: str) -> None:
    """Ends this process at once, without the exchange at exit that would wait for those that are gone."""
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)

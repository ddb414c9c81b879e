"""Several processes of one program, joined by JAX's distributed runtime.

The same command runs on every host.
"""

import contextlib
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

# JAX exports no barrier with a time limit, nor a process's index without starting its
# backend. The client of the coordination service has both; it is the same in 0.10 and
# 0.12.
from jax._src import distributed
from jax.experimental import multihost_utils

T = TypeVar("T")
_HEARTBEAT = 60  # seconds without a sign of life after which a process counts as lost
_JOIN = 300  # seconds that a process waits for the others at the start
_FAILURE_WAIT = 15  # seconds that a failed process waits for the others to fail too
_LOST_PROCESS_SIGNS = (
    "Gloo",
    "gloo",
    "remote process exited",
    "heartbeat",
    "coordination service",
    "DEADLINE_EXCEEDED",
    "UNAVAILABLE",
)
_failures = itertools.count()


def initialize() -> None:
    """Joins the other processes if the environment says that there are any.

    It comes before anything else of JAX is used. The variables are:

    - JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID: the
      processes by hand, whatever the cluster.
    - JAXENT_DISTRIBUTED=1: JAX finds the processes itself on a TPU pod slice, under
      SLURM, Open MPI or Kubernetes JobSet. Under SLURM and Open MPI each process gets
      one GPU unless JAX_LOCAL_DEVICE_IDS names more.
    - JAXENT_HEARTBEAT: seconds after which a lost process ends the others (60).
    - JAXENT_JOIN: seconds to wait for the others at the start (300).

    Without the first two this process is alone.

    Raises:
        ValueError: JAX_COORDINATOR_ADDRESS without the number and index of processes.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    automatic = os.environ.get("JAXENT_DISTRIBUTED") == "1"
    if not address and not automatic:
        return
    count, index = _read_process_numbers(address) if address else (None, None)
    jax.distributed.initialize(
        address,
        num_processes=count,
        process_id=index,
        heartbeat_timeout_seconds=_read_seconds("JAXENT_HEARTBEAT", _HEARTBEAT),
        initialization_timeout=_read_seconds("JAXENT_JOIN", _JOIN),
    )


def _read_seconds(variable: str, default: int) -> int:
    return int(os.environ.get(variable, default))


def _read_process_numbers(address: str) -> tuple[int, int]:
    """(number of processes, index of this one) from the environment."""
    try:
        count = int(os.environ["JAX_NUM_PROCESSES"])
        index = int(os.environ["JAX_PROCESS_ID"])
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"JAX_COORDINATOR_ADDRESS is {address!r}, but {error}: "
            "expected JAX_NUM_PROCESSES and JAX_PROCESS_ID too"
        ) from error
    return count, index


def is_primary() -> bool:
    """Whether this process is the one that writes results and shows progress."""
    return jax.process_index() == 0


def shutdown() -> bool:
    """Parts the processes: afterwards none waits for another or exchanges anything.

    Returns:
        Whether this is the primary process.
    """
    primary = is_primary()
    jax.distributed.shutdown()
    return primary


def broadcast_from_primary(make: Callable[[], str | None]) -> str | None:
    """Calls make() on the primary process and returns its result on every process.

    Args:
        make: called once, on the primary process.

    Returns:
        What make() returned there.

    Raises:
        ValueError: on every process, if make() raised there. A process that is alone
            gets the original exception.

    Example:
        >>> broadcast_from_primary(lambda: "a text")
        'a text'
    """
    if jax.process_count() == 1:
        return make()
    result, failed = None, False
    if is_primary():
        try:
            result = make()
        except Exception as error:
            result, failed = _reason(error), True
    text = _broadcast_text("" if result is None else result)
    flags = np.array([failed, result is None])
    failed, is_none = multihost_utils.broadcast_one_to_all(flags)
    if failed:
        raise ValueError(text)
    return None if is_none else text


def _reason(error: Exception) -> str:
    """An error's message.

    For an unforeseen error also its type; its traceback goes to standard error.
    """
    if isinstance(error, (ValueError, OSError)):
        return str(error)
    traceback.print_exc()
    return f"{type(error).__name__}: {error}"


def primary_then_all(make: Callable[[], T]) -> T:
    """Calls make() on every process, on the primary one before the others.

    What the primary process downloads is there for the others.

    Example:
        >>> primary_then_all(lambda: 3)
        3
    """
    results: list[T] = []

    def make_on_primary() -> None:
        results.append(make())

    broadcast_from_primary(make_on_primary)
    return results[0] if results else make()


def _broadcast_text(text: str) -> str:
    """The primary process's text."""
    data = np.frombuffer(text.encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    if not size:
        return ""
    padded = np.zeros(size, np.uint8)
    if is_primary():
        padded[:] = data
    return multihost_utils.broadcast_one_to_all(padded).tobytes().decode()


def all_min(number: int) -> int:
    """The minimum of a number over the processes.

    Example:
        >>> all_min(9 << 30)
        9663676416
    """
    if jax.process_count() == 1:
        return number
    words = np.array([number], np.int64).view(np.int32)  # JAX would cut 64 bits to 32
    return int(multihost_utils.process_allgather(words).view(np.int64).min())


@contextlib.contextmanager
def exit_together() -> Iterator[None]:
    """Ends a process at once if it fails alone in the block.

    The others then end too, at their next exchange. Otherwise it would wait for them at
    its exit, and they for it. An error that all processes raise passes through.
    """
    try:
        yield
    except KeyboardInterrupt:
        if distributed.global_state.client is not None:
            exit_now("interrupted")
        raise
    except SystemExit as exit_request:
        if exit_request.code:
            barrier_on_failure(exit_request)
        raise
    except Exception as error:
        barrier_on_failure(error)
        raise


def barrier_on_failure(error: BaseException) -> None:
    """Returns once every process has failed as this one has.

    It ends this process if the others go on or are lost.

    Args:
        error: what this process failed with.
    """
    state = distributed.global_state
    client: Any = state.client
    if client is None:
        return
    if reason := describe_lost_process(error):
        exit_now(reason)
    try:
        barrier = f"jaxent failed {next(_failures)}"
        client.wait_at_barrier(barrier, 1000 * _FAILURE_WAIT)
    except Exception:
        text = str(error)
        if not isinstance(error, SystemExit):
            text = "".join(traceback.format_exception(error)).rstrip()
        exit_now(
            f"{text}\nProcess {state.process_id} of {state.num_processes} "
            "failed alone: the others end at their next exchange"
        )


def describe_lost_process(error: BaseException) -> str | None:
    """A message for an error that means that another process is lost, or None."""
    state = distributed.global_state
    if state.client is None:
        return None
    if not any(sign in str(error) for sign in _LOST_PROCESS_SIGNS):
        return None
    first_line = str(error).strip().splitlines()[0]
    return (
        f"another process of the {state.num_processes} was lost ({first_line}); "
        "start all again with --resume"
    )


def exit_now(message: str) -> None:
    """Ends this process at once with exit status 1 and a message on standard error.

    It skips the exchange at exit, which would wait for processes that are gone.
    """
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)

"""One process alone, and two real processes that exchange texts and numbers."""

import os
import socket
import subprocess
import sys

import pytest

from jaxent.distributed import processes

PAIR = """
from jaxent.distributed import processes

processes.initialize()
primary = processes.is_primary()
print("MIN", processes.all_min((9 << 30) + (0 if primary else -1)))
print("TEXT", processes.broadcast_from_primary(lambda: "text" if primary else "no"))
print("NONE", processes.broadcast_from_primary(lambda: None))
print("EMPTY", repr(processes.broadcast_from_primary(lambda: "")))
print("THEN", processes.primary_then_all(lambda: "here" + "01"[not primary]))
try:
    processes.broadcast_from_primary(lambda: [][0])
except ValueError as error:
    print("ERROR", error)
print("PRIMARY", processes.shutdown())
"""


def test_alone_what_is_made_or_raised_passes_through():
    assert processes.is_primary()
    assert processes.all_min(7) == 7
    assert processes.broadcast_from_primary(lambda: "text") == "text"
    assert processes.primary_then_all(lambda: {"a": 1}) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        processes.broadcast_from_primary(lambda: str(1 // 0))
    with pytest.raises(SystemExit), processes.exit_together():
        sys.exit("refused")
    assert processes.describe_lost_process(OSError("heartbeat")) is None


@pytest.mark.parametrize(
    "extra", [{}, {"JAX_NUM_PROCESSES": "2"}, {"JAX_NUM_PROCESSES": "two"}]
)
def test_an_address_without_numbers_is_refused(monkeypatch, extra):
    for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    for name, value in extra.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="'127.0.0.1:1', but .*: expected JAX_NUM"):
        processes.initialize()


def test_an_environment_without_processes_joins_nothing(monkeypatch):
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    monkeypatch.delenv("JAXENT_DISTRIBUTED", raising=False)
    processes.initialize()
    assert processes.distributed.global_state.client is None


def start_pair() -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = []
    for index in range(2):
        variables = {
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": "2",
            "JAX_PROCESS_ID": str(index),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "",
        }
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", PAIR],
                env=os.environ | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def test_two_processes_get_what_the_primary_one_has():
    pair = start_pair()
    outputs = [process.communicate(timeout=300) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    for index, (text, _) in enumerate(outputs):
        lines = [line for line in text.splitlines() if line.split()[0].isupper()]
        assert lines == [
            f"MIN {(9 << 30) - 1}",
            "TEXT text",
            "NONE None",
            "EMPTY ''",
            f"THEN here{index}",
            "ERROR IndexError: list index out of range",
            f"PRIMARY {index == 0}",
        ]

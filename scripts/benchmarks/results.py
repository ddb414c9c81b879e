"""Measured rows as JSON, as a Markdown table, and what they were measured on."""

import datetime
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import cases, pairs
from jaxent.runs import console
from jaxent.runs import folder as run_folder

FILE = "benchmark.json"
HEADER = (
    "what",
    "ours",
    "peer",
    "theirs",
    "times as fast",
    "by processor time",
    "of matmul rate",
    "compiling, s",
)
_SIZE = 2048  # of the matmul that the machine is measured by


def matmul_rate(repeats: int = 5) -> float:
    """FLOPs a second of a float32 matmul of 2048 x 2048, best of so many."""
    x = jnp.ones((_SIZE, _SIZE), jnp.float32)

    def multiply(x):
        return jnp.matmul(x, x, precision="highest")

    matmul = jax.jit(multiply)
    matmul(x).block_until_ready()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        matmul(x).block_until_ready()
        times.append(time.perf_counter() - started)
    return 2 * _SIZE**3 / min(times)


def describe_machine() -> dict[str, Any]:
    """Processor, cores, versions, and how busy the machine is now."""
    names = ("jax", "jaxlib", "torch", "transformers", "peft", "bitsandbytes")
    versions = {}
    for name in (*names, "scikit-learn"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "processor": _processor_name(),
        "instructions": _instructions(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "versions": versions,
        "load": os.getloadavg()[0],
        "device": jax.devices()[0].device_kind,
    }


def usable_cores() -> int:
    """Cores that this process may use; the threads of both sides."""
    return len(os.sched_getaffinity(0))


def _cpu_info() -> dict[str, str]:
    file = pathlib.Path("/proc/cpuinfo")
    text = file.read_text() if file.is_file() else ""
    pairs_of_first = (line.partition(":") for line in text.split("\n\n")[0].split("\n"))
    return {name.strip(): value.strip() for name, _, value in pairs_of_first}


def _processor_name() -> str:
    return _cpu_info().get("model name") or platform.processor() or platform.machine()


def _instructions() -> str:
    """The widest vector and matrix instructions that the processor has."""
    flags = set(_cpu_info().get("flags", "").split())
    widest = ("avx2", "avx512f", "avx512_bf16", "amx_tile")
    return ", ".join(name for name in widest if name in flags)


def make_record(
    case: cases.Case, work: pairs.Workload, timing: pairs.Timing, rate: float
) -> dict[str, Any]:
    """What is stored of a measured row.

    Args:
      case: the row.
      work: what was timed.
      timing: what it took.
      rate: FLOPs a second of a matmul, measured just before.
    """
    sides = {}
    for name, first in timing.first.items():
        rounds = timing.rounds.get(name, [])
        sides[name] = {
            "wall": [spent.wall for spent in rounds],
            "processor": [spent.processor for spent in rounds],
            "peak": [spent.peak for spent in rounds if spent.peak],
            "programs_compiled_in_rounds": sum(spent.programs for spent in rounds),
            "first_wall": first.wall,
            "first_compiling": first.compiling,
            "first_programs": first.programs,
        }
        if name in timing.agreement:
            sides[name]["agreement"] = timing.agreement[name]
    return {
        "what": case.what,
        "name": case.name,
        "peer": case.peer,
        "unit": work.unit,
        "amount": timing.amount,
        "flops": work.flops,
        "matmul_rate": rate,
        "remark": work.remark,
        "sides": sides,
        "machine": describe_machine(),
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
    }


def table_rows(record: dict[str, Any]) -> list[list[str]]:
    """The lines of a record in the table: one for each timed peer.

    Example:
      >>> ours = {"wall": [2.0, 2.0], "processor": [3.0, 3.0], "first_compiling": 1.25}
      >>> theirs = {"wall": [3.0, 4.0], "processor": [6.0, 6.0], "first_compiling": 0}
      >>> record = {"what": "step", "name": "512 tokens", "unit": "tokens"}
      >>> record |= {"amount": 512, "flops": 4e9, "matmul_rate": 8e9}
      >>> record["sides"] = {"ours": ours, "PEFT": theirs}
      >>> for row in table_rows(record):
      ...     print(row[0], *row[1:4], sep=" / ")
      ...     print(*row[4:], sep=" / ")
      step: 512 tokens / 256 tokens/s / PEFT / 146 tokens/s
      1.75 (1.50 to 2.00) / 2.00 / 25% / 1.2
    """
    sides = record["sides"]
    ours = sides["ours"]
    timed = [name for name in sides if name != "ours" and sides[name]["wall"]]
    share = "-"
    if record["flops"]:
        rate = record["flops"] / statistics.median(ours["wall"])
        share = f"{rate / record['matmul_rate']:.0%}"
    rows = []
    for name in timed or [None]:
        row = [f"{record['what']}: {record['name']}", _speed(record, ours)]
        row += [name or "-", "-", "-", "-"]
        if name:
            theirs = sides[name]
            by_processor = pairs.ratio(ours["processor"], theirs["processor"])
            row[3] = _speed(record, theirs)
            if "agreement" in theirs:
                row[3] += f", {theirs['agreement']:.1%} equal"
            row[4] = str(pairs.ratio(ours["wall"], theirs["wall"]))
            row[5] = f"{by_processor.median:.2f}"
        rows.append([*row, share, f"{ours['first_compiling']:.1f}"])
    return rows


def _speed(record: dict[str, Any], side: dict[str, Any]) -> str:
    """Work a second, or seconds where the work is one thing."""
    seconds = statistics.median(side["wall"])
    if not record["unit"]:
        return f"{seconds:.3g} s"
    value = record["amount"] / seconds
    return (
        f"{value:.0f} {record['unit']}/s"
        if value >= 100
        else (f"{value:.1f} {record['unit']}/s")
    )


def format_table(records: Iterable[dict[str, Any]]) -> str:
    """The Markdown table of records, the remarks, and the machines below it."""
    records = list(records)
    rows = [row for record in records for row in table_rows(record)]
    remarks = {record["remark"]: None for record in records if record.get("remark")}
    machines = {format_machine(record): None for record in records}
    table = console.format_markdown(HEADER, rows)
    return "\n".join([table, "", *(f"- {text}" for text in [*remarks, *machines])])


def format_machine(record: dict[str, Any]) -> str:
    """The machine, the versions and the number of rounds of a record, in a line."""
    machine = record["machine"]
    versions = [f"{k} {v}" for k, v in machine["versions"].items() if v]
    rounds = len(record["sides"]["ours"]["wall"])
    return (
        f"{machine['processor']} ({machine['instructions']}), {machine['cores']} "
        f"cores and as many threads a side, Python {machine['python']}, "
        f"{', '.join(versions)}; {rounds} rounds, {record['date'][:10]}"
    )


def read_records(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The rows that an earlier call left in a folder, by key."""
    file = folder / FILE
    return run_folder.read_json(file) if file.is_file() else {}


def write_records(folder: pathlib.Path, records: dict[str, dict[str, Any]]) -> None:
    """Writes all rows; what was there is replaced at once."""
    run_folder.write_json(folder / FILE, records)


def is_done(record: dict[str, Any] | None, with_peer: bool) -> bool:
    """Whether a stored row need not be measured again: it has its peer, if wanted."""
    return record is not None and (len(record["sides"]) > 1 or not with_peer)

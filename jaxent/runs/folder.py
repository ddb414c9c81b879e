"""What a run folder holds: the name of every file, and how each is read and written.

This module alone spells the names of the files that runs and experiments leave
behind. The files of an evaluation are named by the room that writes them,
`jaxent.evaluate`, and repeated here by reference.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import Any, TypedDict

from jaxent import json_files
from jaxent.evaluate import sample_files, scoring
from jaxent.train import log

RECORD = "run.json"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
CHECKPOINTS = "checkpoints"
ADAPTER = "adapter"
MODEL = "model"
TENSORBOARD = "tensorboard"
HUMANEVAL = "humaneval"
LOCK = "run.lock"

STUDY = "study.json"
TABLE = "table.txt"
CROSSTALK = "crosstalk.json"
MEASURE = "measure.json"
VALIDITY = "validity.json"
EQUIVALENCE = "equivalence.json"
REPORT = "report.html"
FIGURES = "figures"
TABLES = "tables"

EVALUATION = "evaluation.json"
LIKELIHOOD = "likelihood.json"
SCORES = scoring.SCORES
EVALPLUS_RESULTS = scoring.RESULTS
EVALPLUS_LOG = scoring.LOG
RAW_SAMPLES = sample_files.RAW
SAMPLES = sample_files.SANITIZED
SAMPLES_IDENTITY = sample_files.IDENTITY


class RunRecord(TypedDict, total=False):
    """The content of run.json: what decides the result, and where it ran.

    corpus: by source, the hash of its texts. data: of one's own, by source, its path,
    commit and counts. model_commit: of a model of the Hub. model_hash: of config and
    weights. adapter and start: see `spec.RunSpec`. The last six keys are
    `validate.origin`'s.
    """

    settings: dict[str, Any]
    parameters: int
    probes: dict[str, Any]
    csr_probes: str | None
    tokenizer: str
    start: str | None
    corpus: dict[str, Any]
    data: dict[str, Any]
    model_commit: str | None
    model_hash: str
    command: list[str]
    git: str | None
    versions: dict[str, str]
    device: str
    devices: int
    processes: int


class Summary(TypedDict, total=False):
    """The content of summary.json: what a finished run measured.

    before and after: measurements of entanglement. drift and csr_drift: how far the
    activations of the measurement's and of the penalty's probes moved. seconds: of
    steps and measurements, first compilations included. final_loss: nats a token.
    held_out: the loss on held-out examples before and after; None without them.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    drift: dict[str, Any]
    steps: int
    tokens: int
    seconds: float
    final_loss: float | None
    held_out: dict[str, Any] | None
    csr_ratio: float | None
    csr_loss: float | None
    adapter_hash: str | None
    sv_energy: dict[str, Any] | None
    csr_drift: dict[str, Any] | None


class LockedError(ValueError):
    """Another process executes a run in the folder."""


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file so that no reader and no crash ever sees half of it.

    The text goes to a temporary name, is forced to the disk and renamed.

    Args:
      path: the file; its folder is made where it is missing.
      text: the whole content, written as UTF-8.

    Example:
      >>> import tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "new" / "note.txt"
      >>> write_text(path, "whole")
      >>> path.read_text(), [file.name for file in path.parent.iterdir()]
      ('whole', ['note.txt'])
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a value as indented JSON with `write_text`."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: pathlib.Path, kind: type = dict) -> Any:
    """Reads a JSON file; a measured number in it may be NaN.

    Args:
      path: the file.
      kind: the type that the whole value must have.

    Returns:
      The value.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged, or holds another type.
    """
    return json_files.read_json(path, kind, finite=False)


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run: its paths, and typed access to its records.

    A run has begun once its record (run.json) is there and is finished once its
    summary (summary.json), which is written last, is there.

    Example:
      >>> import tempfile
      >>> folder = RunFolder(pathlib.Path(tempfile.mkdtemp()))
      >>> folder.begun, folder.finished
      (False, False)
      >>> folder.write_record({"settings": {"model": "m"}})
      >>> folder.begun, folder.read_record()
      (True, {'settings': {'model': 'm'}})
    """

    path: pathlib.Path

    @property
    def record(self) -> pathlib.Path:
        """run.json: settings, hashes, versions and device."""
        return self.path / RECORD

    @property
    def metrics(self) -> pathlib.Path:
        """metrics.jsonl: a line for every step and every measurement."""
        return self.path / METRICS

    @property
    def summary(self) -> pathlib.Path:
        """summary.json: what the finished run measured."""
        return self.path / SUMMARY

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of the training states, one folder a saved step."""
        return self.path / CHECKPOINTS

    @property
    def adapter(self) -> pathlib.Path:
        """The folder of the trained adapter in PEFT's format."""
        return self.path / ADAPTER

    @property
    def model(self) -> pathlib.Path:
        """The folder of the trained model, of a run that trains all weights."""
        return self.path / MODEL

    @property
    def trained(self) -> pathlib.Path:
        """The folder of what the run trained: the model if it is there, or the adapter.

        Example:
          >>> RunFolder(pathlib.Path("runs/b3")).trained.name
          'adapter'
        """
        return self.model if self.model.is_dir() else self.adapter

    @property
    def tensorboard(self) -> pathlib.Path:
        """The folder of TensorBoard's event files."""
        return self.path / TENSORBOARD

    @property
    def humaneval(self) -> pathlib.Path:
        """The folder of the run's evaluation on HumanEval and HumanEval+."""
        return self.path / HUMANEVAL

    @property
    def begun(self) -> bool:
        """Whether a run has begun here."""
        return self.record.is_file()

    @property
    def finished(self) -> bool:
        """Whether the run that began here is finished."""
        return self.summary.is_file()

    def read_record(self) -> RunRecord:
        """Reads run.json."""
        return read_json(self.record)

    def write_record(self, record: RunRecord) -> None:
        """Writes run.json."""
        write_json(self.record, record)

    def read_summary(self) -> Summary:
        """Reads summary.json."""
        return read_json(self.summary)

    def write_summary(self, summary: Summary) -> None:
        """Writes summary.json, which makes the run a finished one."""
        write_json(self.summary, summary)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Reads the complete records of metrics.jsonl; none where it is missing."""
        return log.read_metrics(self.metrics)

    def read_measurements(self) -> list[dict[str, Any]]:
        """Reads the measurements of metrics.jsonl, in the order of their steps."""
        return [r for r in self.read_metrics() if r["kind"] == "measure"]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder's lock while the block runs.

        A folder that the lock made and in which nothing was written goes with it.

        Raises:
          LockedError: in one line, where another process holds the lock. The lock
            of a dead process of this host is taken over, with a line that says so.
        """
        file = self.path / LOCK
        is_new = not self.path.exists()
        _acquire(file)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            if is_new:
                with contextlib.suppress(OSError):  # it is not empty
                    self.path.rmdir()


def find_trained(source: str) -> str:
    """Of a run folder the folder of what it trained; any other source as it came.

    Example:
      >>> find_trained("owner/adapter")
      'owner/adapter'
    """
    folder = RunFolder(pathlib.Path(source))
    return str(folder.trained) if folder.begun else source


def _acquire(file: pathlib.Path) -> None:
    """Creates the lock file, which names this process as the holder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pid = os.getpid()
    own = {"host": socket.gethostname(), "pid": pid, "started": _start_time(pid)}
    # A hard link gives the file its name and its content in one step.
    unnamed = file.with_name(f"{file.name}.{own['host']}.{pid}")
    unnamed.write_text(json.dumps(own), encoding="utf-8")
    try:
        while not _link(unnamed, file):
            _remove_if_stale(file)
    finally:
        unnamed.unlink(missing_ok=True)


def _link(source: pathlib.Path, target: pathlib.Path) -> bool:
    """Whether the file now has the second name; it has not where that is taken."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    return True


def _remove_if_stale(file: pathlib.Path) -> None:
    """Removes the lock of a dead process of this host; LockedError otherwise."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return  # its holder has just released it
    holder = _parse_holder(file, text)
    name = f"process {holder['pid']} on {holder['host']}"
    refusal = LockedError(
        f"{file.parent} is in use by {name}: expected no other process there "
        f"(if that process is gone, remove {file.name})"
    )
    if _may_be_alive(holder):
        raise refusal
    aside = file.with_name(f"{file.name}.stale.{os.getpid()}")
    try:
        os.replace(file, aside)
    except FileNotFoundError:
        return  # another process has just removed it
    taken = aside.read_text(encoding="utf-8")
    if taken != text:  # another process took it over after it was read above
        _link(aside, file)
        aside.unlink()
        raise refusal
    aside.unlink()
    print(f"{file.parent}: taking over the lock of {name}, which is dead", flush=True)


def _parse_holder(file: pathlib.Path, text: str) -> dict[str, Any]:
    try:
        holder = json_files.parse_json(text, str(file))
        return {name: holder[name] for name in ("host", "pid", "started")}
    except (ValueError, KeyError, TypeError) as error:
        raise LockedError(
            f"{file}: expected JSON with host, pid and started, found {text!r}"
        ) from error


def _may_be_alive(holder: dict[str, Any]) -> bool:
    """Whether the holder may still run: always, as far as another host can know."""
    if holder["host"] != socket.gethostname():
        return True
    try:
        os.kill(holder["pid"], 0)  # signal 0 only asks whether the process is there
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, and another user's
    # The number may have gone to a new process since.
    return _start_time(holder["pid"]) == holder["started"]


def _start_time(pid: int) -> str | None:
    """When a process started, in clock ticks after boot; None where /proc lacks it."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]  # field 22; 20 follow the name

"""The log of a run: one JSON object a line, written as the run goes."""

import json
import pathlib
from collections.abc import Mapping
from typing import IO, Any

from jaxent import json_files


class MetricsLog:
    r"""Appends records {"kind", "step", ...} to a file, exactly across resumes.

    TensorBoard gets the numbers too where tensorboardX is installed. `records` holds
    every record of the run: those that earlier processes wrote, which are read once
    when the log is opened, and those written since.

    Args:
      path: the file of lines.
      tensorboard: TensorBoard's folder; None for none.
      writes: False keeps the log empty, for processes other than the first.

    Example:
      >>> import tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.jsonl"
      >>> log = MetricsLog(path)
      >>> log.open()
      >>> log.write("train", 1, {"loss": 2.5})
      >>> log.close()
      >>> read_metrics(path) == log.records
      True
      >>> path.read_text()
      '{"kind": "train", "step": 1, "loss": 2.5}\n'
    """

    def __init__(
        self,
        path: pathlib.Path,
        tensorboard: pathlib.Path | None = None,
        writes: bool = True,
    ):
        self.records: list[dict[str, Any]] = []
        self._path = path
        self._tensorboard = tensorboard
        self._writes = writes
        self._file: IO[str] | None = None
        self._board = None

    def open(self, resume_step: int | None = None) -> None:
        """Starts afresh, or goes on after a step.

        Args:
          resume_step: the step of the checkpoint that the run continues from; later
            records are cut off. None: all are.
        """
        if not self._writes:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.records, size = _records_until(self._path, resume_step)
        self._file = self._path.open("a+", encoding="utf-8", newline="\n")
        self._file.truncate(size)
        self._board = _open_tensorboard(self._tensorboard)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Appends a record, at once visible to readers of the file."""
        if self._file is None:
            return
        record = {"kind": kind, "step": step, **values}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        self.records.append(record)
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Closes the files; `records` stays."""
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def _open_tensorboard(folder: pathlib.Path | None):
    if folder is None:
        return None
    try:
        import tensorboardX
    except ImportError:
        return None
    return tensorboardX.SummaryWriter(str(folder))


def _records_until(
    path: pathlib.Path, last_step: int | None
) -> tuple[list[dict[str, Any]], int]:
    """The records up to a step, and the size in bytes of their lines.

    Steps never fall within a log, so that the records to keep come first.
    """
    records: list[dict[str, Any]] = []
    size = 0
    if last_step is None or not path.is_file():
        return records, size
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        record = json_files.parse_json(line, str(path), finite=False, line=number)
        if record["step"] > last_step:
            break
        records.append(record)
        size += len(line) + 1
    return records, size


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads the complete records of a log.

    Args:
      path: the file of lines; it may be missing.

    Returns:
      One dict a line. A last line that a kill has cut off is left out.
    """
    if not path.is_file():
        return []
    return list(json_files.read_json_lines(path, finite=False, whole=True))

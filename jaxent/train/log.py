"""metrics.jsonl: one JSON object a line, written as the run goes, exact across resumes."""

import json
import os
import pathlib


class MetricsLog:
    """Appends records {"kind", "step", ...} to folder/metrics.jsonl, and to TensorBoard if tensorboardX is installed."""

    def __init__(
        self, folder: pathlib.Path, resume_step: int | None = None, writes: bool = True
    ):
        """Starts afresh, or keeps the records up to resume_step (those that the checkpoint contains). writes: False writes nothing."""
        self.path, self._file, self._board = folder / "metrics.jsonl", None, None
        if not writes:
            return
        kept = (
            []
            if resume_step is None
            else [r for r in read_metrics(self.path) if r["step"] <= resume_step]
        )
        partial = self.path.with_suffix(".partial")
        partial.write_text("".join(_line(r) for r in kept))
        os.replace(partial, self.path)
        self._file = self.path.open("a")
        self._board = _tensorboard(folder)

    def write(self, kind: str, step: int, values: dict) -> None:
        if self._file is None:
            return
        self._file.write(_line({"kind": kind, "step": step, **values}))
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def _line(record: dict) -> str:
    return json.dumps(record) + "\n"


def _tensorboard(folder):
    try:
        import tensorboardX
    except ImportError:
        return None
    return tensorboardX.SummaryWriter(str(folder / "tensorboard"))


def read_metrics(path: pathlib.Path) -> list[dict]:
    """The complete records of a metrics.jsonl; a last line cut off by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines if line]

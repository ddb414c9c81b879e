import json
import os
import socket

import pytest

from jaxent.runs import execute
from jaxent.runs import folder as run_folder


def test_a_folder_in_use_is_refused_before_anything_runs(tmp_path):
    free, held = (run_folder.RunFolder(tmp_path / name) for name in ("free", "held"))
    begun = [execute.BegunRun(None, None, folder) for folder in (free, held)]
    holder = f"held is in use by process {os.getpid()} on {socket.gethostname()}"
    with held.lock(), pytest.raises(run_folder.LockedError, match=holder):
        execute.train_seeds(begun, base=None)
    # The lock of the first folder is given back, the holder's has ended with it.
    for folder in (free, held):
        assert os.listdir(folder.path) == []


def test_one_process_writes_the_log_with_the_folders_names(tmp_path):
    metrics = execute.BegunRun(None, None, run_folder.RunFolder(tmp_path)).open_log()
    metrics.open()
    metrics.write("train", 1, {"loss": 0.5})
    metrics.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == metrics.records

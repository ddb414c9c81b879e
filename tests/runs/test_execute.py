import json
import os
import socket

import pytest

from jaxent.runs import execute
from jaxent.runs import folder as run_folder


def test_a_folder_in_use_is_refused(tmp_path):
    folder = run_folder.RunFolder(tmp_path / "held")
    holder = f"held is in use by process {os.getpid()} on {socket.gethostname()}"
    with execute.lock_folder(folder):
        assert os.listdir(folder.path) == [run_folder.LOCK]
        second = execute.lock_folder(folder)
        with pytest.raises(run_folder.LockedError, match=holder), second:
            pass
        assert os.listdir(folder.path) == [run_folder.LOCK]
    assert os.listdir(tmp_path) == []


def test_one_process_writes_the_log_with_the_folders_names(tmp_path):
    metrics = execute.BegunRun(None, None, run_folder.RunFolder(tmp_path)).open_log()
    metrics.open()
    metrics.write("train", 1, {"loss": 0.5})
    metrics.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == metrics.records

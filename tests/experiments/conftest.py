"""One run alone, which several processes are to equal."""

import pathlib

import many_processes
import pytest


@pytest.fixture(scope="module")
def alone(own_probes, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("processes") / "alone"
    many_processes.finish(many_processes.start(1, own_probes, folder))
    return folder

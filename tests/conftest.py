"""Tests run on the CPU; real data and a real pretrained model lie beside the checkout, where there are any."""

import os
import pathlib
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

import families


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared/data with real data and a pretrained model is not there")
    return SHARED


@pytest.fixture(scope="session")
def stories(shared) -> str:
    """A real pretrained Llama of 260,032 parameters."""
    return str(shared / "stories260k")


@pytest.fixture(scope="session", params=families.NAMES)
def family(request, tmp_path_factory) -> str:
    """A tiny random checkpoint of each family, written by transformers."""
    return families.write(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def qwen(tmp_path_factory) -> str:
    """A tiny random Qwen2 checkpoint: biases, grouped queries, tied head, 128-aligned."""
    return families.write("qwen2_tied", tmp_path_factory.mktemp("qwen"))

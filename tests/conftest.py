"""Tests run on the CPU, as eight devices.

Real data and a real pretrained model are in a folder beside the checkout, if anywhere.
"""

import atexit
import importlib.util
import itertools
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
# An array of fewer axes is never broadcast unseen, here and in scripts tests start.
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
# Workers, and scripts that tests start, share what one of them compiled.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jaxent-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    atexit.register(
        shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True
    )
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest  # noqa: E402, after the environment of JAX

ROOT = pathlib.Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
SHARED = ROOT.parent / "shared" / "data"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

import families  # noqa: E402, found on the path set above

from jaxent.checkpoint import real_model  # noqa: E402, after the environment of JAX
from jaxent.data import probes  # noqa: E402, after the environment of JAX

HAS_TORCH = importlib.util.find_spec("torch") is not None
_NEEDS_TORCH = re.compile(
    r"^(import|from) (torch|peft|bitsandbytes|safetensors\.torch|check_equivalence)\b"
    r"|^from train import test_step\b",
    re.MULTILINE,
)


def pytest_ignore_collect(collection_path: pathlib.Path) -> bool | None:
    """Leaves out the tests' helpers, which have no examples to run as doctests.

    And, where PyTorch is not installed, the files that compare with it.
    """
    if collection_path.suffix != ".py" or TESTS not in collection_path.parents:
        return None
    if not collection_path.name.startswith("test_"):
        return True
    if HAS_TORCH:
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if _NEEDS_TORCH.search(text) else None


def pytest_report_header() -> str:
    """Says what a run without PyTorch leaves out."""
    if HAS_TORCH:
        return ""
    return "PyTorch is not installed: tests against it are left out or skipped"


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(
            "there is no folder ../shared/data with real data and a pretrained model"
        )
    return SHARED


@pytest.fixture(scope="session")
def stories(shared) -> str:
    """A real pretrained Llama of 260,032 parameters."""
    return str(shared / "stories260k")


@pytest.fixture(scope="session")
def smollm2() -> pathlib.Path:
    """The folder of SmolLM2-135M-Instruct."""
    if not real_model.is_there():
        pytest.skip("SmolLM2 is not there: run ./scripts/get_real_model")
    return real_model.folder()


@pytest.fixture(scope="session", params=families.marked())
def family(request, tmp_path_factory) -> str:
    """A tiny random checkpoint of each family, written by transformers."""
    return families.write(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def qwen(tmp_path_factory) -> str:
    """A tiny random Qwen2 checkpoint: biases, grouped queries, tied head."""
    return families.write("qwen2_tied", tmp_path_factory.mktemp("qwen"))


@pytest.fixture(scope="session")
def own_probes(tmp_path_factory) -> str:
    """A balanced probe file of 96 short texts whose words depend on their labels."""
    file = tmp_path_factory.mktemp("probes") / "own.jsonl"
    cells = itertools.product(
        range(2), ("code", "math", "medical"), probes.REGISTERS, probes.SHAPES
    )
    rows = [
        {
            "id": f"{d}-{r}-{s}-{n}",
            "domain": d,
            "register": r,
            "shape": s,
            "replicate": n,
            "topic": f"{d} {r} {s} {n}",
            "text": f"{d} {'xyz'[n]} {r} {n} {s} {d} word",
        }
        for n, d, r, s in cells
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(file)

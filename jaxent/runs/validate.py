"""Before a run: what can be found wrong before a model is loaded, and its record."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import pathlib
import platform
import re
import subprocess
import sys
import time
from typing import Any

import jax
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.checkpoint import full_weights, hf, peft, safetensors_folder
from jaxent.data import probes, tokens
from jaxent.distributed import processes
from jaxent.measure import capture, concepts, penalty
from jaxent.model import config as configs
from jaxent.model import sharding, transformer
from jaxent.runs import folder as run_folder
from jaxent.runs import full_memory, training_data
from jaxent.runs import spec as specs

_PACKAGES = (
    "jaxent",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "transformers",
    "datasets",
    "numpy",
    "scipy",
    "evalplus",
)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A base checkpoint whose config and headers fit each other, not loaded yet."""

    folder: pathlib.Path
    config: configs.Config
    tokenizer: tokens.Tokenizer


@dataclasses.dataclass(frozen=True)
class ValidatedRun:
    """A run that can begin.

    Attributes:
      run: the run.
      checkpoint: its base model's.
      probe_set: what it is measured on.
      csr_probes: what CSR's penalty acts on; None where none are asked for.
      start: the folder of the adapter it begins from; None for PEFT's initial one.
      length: tokens of a row, at most the model's context.
    """

    run: specs.RunSpec
    checkpoint: Checkpoint
    probe_set: probes.ProbeSet
    csr_probes: probes.ProbeSet | None
    start: pathlib.Path | None
    length: int


@functools.lru_cache(maxsize=8)
def open_checkpoint(model: str, revision: str | None = None) -> Checkpoint:
    """Opens the checkpoint of a folder or Hub id; its weights are not loaded.

    Args:
      model: the folder or id.
      revision: branch, tag or commit of a Hub id; None: its default branch.

    Raises:
      ValueError: its config and headers do not fit each other, in one line.
      FileNotFoundError: it is not there, in one line.
    """
    folder = safetensors_folder.locate(model, revision)
    config = configs.read_config(folder)
    hf.check_tensors(safetensors_folder.open_folder(folder), config)
    return Checkpoint(folder, config, tokens.load_tokenizer(folder))


def validate_run(
    run: specs.RunSpec, root: pathlib.Path = pathlib.Path()
) -> ValidatedRun:
    """Checks settings, files and data, cheaply.

    Args:
      run: the run.
      root: the folder that `run.adapter` is relative to.

    Raises:
      ValueError: a setting or file is wrong, in one line.
      FileNotFoundError: a file is missing, in one line.
    """
    # Each of these checks its own settings.
    lora_config, _, csr, _ = (
        run.lora_config,
        run.train_config,
        run.csr,
        run.held_out,
    )
    csr_probes = None
    if csr or run.condition == "B4":
        csr_probes = probes.load_probes(run.csr_probes)
    if csr and csr_probes:
        penalty.check_target(csr, [p.domain for p in csr_probes.probes])
        if run.csr_every > run.max_steps:
            raise ValueError(
                f"--csr_every {run.csr_every}: expected at most --max_steps "
                f"{run.max_steps}, or CSR never acts"
            )
    probe_set = probes.load_probes(run.probes, run.probe_sets)
    training_data.check_sources(run)
    checkpoint = open_checkpoint(run.model, run.revision)
    training_data.check_template(run, checkpoint.tokenizer)
    concepts.label_probes(probe_set.labels)
    for one in filter(None, (probe_set, csr_probes)):
        encode_probes(checkpoint, one)
    start = None
    if run.adapter and lora_config is not None:
        start = _locate_start(root / run.adapter, lora_config, checkpoint.config)
    length = min(run.max_length, checkpoint.config.context)
    return ValidatedRun(run, checkpoint, probe_set, csr_probes, start, length)


def encode_probes(
    checkpoint: Checkpoint, probe_set: probes.ProbeSet
) -> list[list[int]]:
    """The token ids of the probes.

    Raises:
      ValueError: one is empty or longer than the model's context.
    """
    examples = checkpoint.tokenizer.encode(probe_set.texts)
    try:
        capture.check_lengths(examples, checkpoint.config.context)
    except ValueError as error:
        raise ValueError(f"probes {probe_set.name}: {error}") from error
    return examples


def choose_run_mesh(validated: ValidatedRun, text: str | None) -> Mesh | None:
    """`sharding.choose_mesh` for the run, and ValueError if memory is too small."""
    run = validated.run
    config = validated.checkpoint.config
    model = hf.abstract_model(config, run.load_in_4bit)
    mesh = sharding.choose_mesh(model, text, rows_at_a_time(run))
    if run.tuner == "full" and run.training_mixture is not None:
        full_memory.check_memory(config, mesh)
    return mesh


def rows_at_a_time(run: specs.RunSpec) -> int:
    """The micro-batches of a step, which is what a mesh can split its rows into."""
    return run.batch_size // run.micro_batch_size


def _locate_start(
    folder: pathlib.Path, lora_config: lora.LoraConfig, config: configs.Config
) -> pathlib.Path:
    """The adapter folder to begin from: the folder, or the adapter of a run folder.

    ValueError where its LoRA settings are not the run's.
    """
    of_run = run_folder.RunFolder(folder)
    folder = of_run.adapter if of_run.begun else folder
    adapter_config = peft.load_adapter_config(str(folder), config)
    if adapter_config != lora_config:
        raise ValueError(
            f"adapter {folder}: {adapter_config}, expected the run's {lora_config}"
        )
    return folder


def begin_run(
    validated: ValidatedRun, out: pathlib.Path, resume: bool
) -> training_data.AnyCorpus:
    """Writes the record of a run, or checks that the one there says the same.

    Of several processes the first looks and writes.

    Args:
      validated: the run.
      out: its folder.
      resume: whether a run that is there is to be continued.

    Returns:
      The run's texts.

    Raises:
      ValueError: the folder holds a run already and `resume` is False, or that run
        has other settings, probes, tokenizer or texts.
    """
    folder = run_folder.RunFolder(out)
    record = _make_record(validated)
    processes.broadcast_from_primary(lambda: _check_folder(folder, record, resume))
    tokenizer = validated.checkpoint.tokenizer
    corpus = training_data.load_corpus(validated.run, tokenizer, validated.length)
    record["corpus"] = corpus.hashes
    if validated.run.own_sources:
        record["data"] = training_data.describe_data(validated.run, corpus)
    processes.broadcast_from_primary(
        lambda: _write_record(validated, folder, record, resume)
    )
    return corpus


def _write_record(
    validated: ValidatedRun,
    folder: run_folder.RunFolder,
    record: run_folder.RunRecord,
    resume: bool,
) -> None:
    _check_folder(folder, record, resume)
    if not folder.begun:
        record["model_hash"] = fingerprint(validated.checkpoint.folder)
        folder.write_record(record)


def _make_record(validated: ValidatedRun) -> run_folder.RunRecord:
    """The record without the corpus and the model's hash, which take longer."""
    probe_set, csr_probes = validated.probe_set, validated.csr_probes
    return {
        "settings": validated.run.to_json(),
        "model_commit": hub_commit(validated.checkpoint.folder),
        "parameters": transformer.parameter_count(validated.checkpoint.config),
        "probes": {
            "name": probe_set.name,
            "number": len(probe_set.probes),
            "hash": probe_set.hash,
        },
        "csr_probes": csr_probes.hash if csr_probes else None,
        "tokenizer": validated.checkpoint.tokenizer.hash,
        "start": adapter_hash(validated.start) if validated.start else None,
        **origin(),  # type: ignore[typeddict-item]  # a subset of the record's keys
    }


def hub_commit(folder: pathlib.Path) -> str | None:
    """The commit of a snapshot in the Hub's cache; None for any other folder.

    Example:
      >>> hub_commit(pathlib.Path("hub/models--a--b/snapshots/0123abc"))
      '0123abc'
    """
    return folder.name if folder.parent.name == "snapshots" else None


def origin() -> dict[str, Any]:
    """Where a result comes from; kept in every record.

    Returns:
      The command (paths relative to the current folder), the commit as "git", the
      versions of packages, the kind of device, the numbers of devices and processes.
    """
    here = f"{pathlib.Path.cwd()}/"
    versions = {p: importlib.metadata.version(p) for p in _PACKAGES}
    return {
        "command": [word.replace(here, "") for word in sys.argv],
        "git": _commit(),
        "versions": versions | {"python": platform.python_version()},
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
    }


def provenance(
    model: Checkpoint,
    started: float,
    adapter: str | None = None,
    probe_set: probes.ProbeSet | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """`origin` and what else decides a script's result; None where there is none.

    Args:
      model: the base checkpoint.
      started: when the process began, a `time.perf_counter()`.
      adapter: an adapter folder or Hub id.
      probe_set: the probes.
      seed: the seed.

    Returns:
      `origin`, the `hashes`, the seed, and the seconds since `started`.
    """
    return {
        **hashes(model, adapter, probe_set),
        "seed": seed,
        "seconds": time.perf_counter() - started,
        **origin(),
    }


def hashes(
    model: Checkpoint,
    adapter: str | None = None,
    probe_set: probes.ProbeSet | None = None,
) -> dict[str, str | None]:
    """model_hash, adapter_hash and probe_hash; None where there is none."""
    return {
        "model_hash": fingerprint(model.folder),
        "adapter_hash": adapter_hash(adapter) if adapter else None,
        "probe_hash": probe_set.hash if probe_set else None,
    }


def _commit() -> str | None:
    """The checkout's commit, "-dirty" where files differ from it; None outside one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(
        command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True
    )
    return answer.stdout.strip() or None


def _check_folder(
    folder: run_folder.RunFolder, record: run_folder.RunRecord, resume: bool
) -> None:
    """ValueError unless the run can begin in the folder or continue there."""
    if not folder.begun:
        return
    if not resume:
        raise ValueError(
            f"--output_dir {folder.path} already holds a run: give another folder, "
            "or --resume to continue it"
        )
    before = folder.read_record()
    pairs = specs.differences(recorded_run(record), recorded_run(before))
    names = ("probes", "csr_probes", "tokenizer", "start", "corpus")
    pairs += [
        (name, record.get(name), before.get(name)) for name in names if name in record
    ]
    for name, value, old in pairs:
        if value != old:
            raise ValueError(
                f"{name} is {value!r}, but the run in {folder.path} has {old!r}: "
                "expected the same to continue it"
            )


def recorded_run(record: run_folder.RunRecord) -> specs.RunSpec:
    """The run that a run.json describes."""
    return specs.run_from_json(record["settings"])


@functools.lru_cache(maxsize=8)
def fingerprint(folder: pathlib.Path) -> str:
    """One hash of a checkpoint's config and shards, 16 hexadecimal digits.

    A shard's hash is the Hub's own sha256 where the file is its cache's; otherwise
    the file is read through.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name} {file_hash(file)}\n".encode())
    return digest.hexdigest()[:16]


def adapter_hash(source: str | pathlib.Path) -> str:
    """sha256 of the tensors of an adapter, or of a whole model; a folder or Hub id.

    Where there are several shards it is that of their hashes.
    """
    folder = safetensors_folder.locate(str(source))
    stem = "model" if full_weights.is_full(folder) else "adapter_model"
    files = folder.glob(f"{stem}*.safetensors")
    shards = [file_hash(file) for file in sorted(files)]
    if len(shards) == 1:
        return shards[0]
    return hashlib.sha256("".join(shards).encode()).hexdigest()


def file_hash(file: pathlib.Path) -> str:
    """sha256 of a file; one in the Hub's cache is named by it.

    Example:
      >>> import tempfile
      >>> file = pathlib.Path(tempfile.mkdtemp()) / "empty"
      >>> file.write_bytes(b"")
      0
      >>> file_hash(file)[:16]
      'e3b0c44298fc1c14'
    """
    blob = file.resolve().name
    if file.is_symlink() and re.fullmatch("[0-9a-f]{64}", blob):
        return blob
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

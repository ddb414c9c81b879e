"""Before a run: everything that can be found wrong before a model is loaded, and the record of what will run."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import re
import subprocess
import sys
import time

import jax
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.checkpoint import hf, peft, safetensors_folder
from jaxent.data import corpora, probes, tokens
from jaxent.distributed import processes
from jaxent.measure import capture, concepts, penalty
from jaxent.model import config as configs
from jaxent.model import sharding, transformer
from jaxent.runs import folder as run_folder
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
class Checked:
    """A run that can begin: its checkpoint, probe sets and row length. csr_probes: the penalty's, None where none are asked for."""

    run: specs.RunSpec
    checkpoint: Checkpoint
    probes: probes.ProbeSet
    csr_probes: probes.ProbeSet | None
    start: pathlib.Path | None
    length: int


@functools.lru_cache(maxsize=8)
def open_checkpoint(model: str) -> Checkpoint:
    """The checkpoint of a folder or Hub id; ValueError or FileNotFoundError in one line."""
    folder = safetensors_folder.locate(model)
    config = configs.read_config(folder)
    hf.check_tensors(safetensors_folder.open_folder(folder), config)
    return Checkpoint(folder, config, tokens.load_tokenizer(folder))


def validate_run(run: specs.RunSpec, root: pathlib.Path = pathlib.Path()) -> Checked:
    """Settings, files and data, cheaply; ValueError or FileNotFoundError in one line. root: where `training_state.start` is looked for."""
    mixture, lora_config, _, csr = run.mixture, run.lora_config, run.hyper, run.csr
    csr_probes = (
        probes.load_probes(run.csr_probes) if csr or run.condition == "B4" else None
    )
    if csr:
        penalty.check_target(csr, [p.domain for p in csr_probes.probes])
        if run.csr_every > run.max_steps:
            raise ValueError(
                f"--csr_every {run.csr_every}: expected at most --max_steps {run.max_steps}, or CSR never acts"
            )
    probe_set = probes.load_probes(run.probes, run.probe_sets)
    corpora.check_sources(mixture.domains if mixture else (), run.data_root)
    found = open_checkpoint(run.model)
    concepts.label_probes(probe_set.labels)
    for one in filter(None, (probe_set, csr_probes)):
        encoded(found, one)
    start = _start(root / run.adapter, lora_config) if run.adapter else None
    return Checked(
        run,
        found,
        probe_set,
        csr_probes,
        start,
        min(run.max_length, found.config.context),
    )


def encoded(found: Checkpoint, probe_set: probes.ProbeSet) -> list[list[int]]:
    """Token ids of the probes; ValueError for one that is empty or longer than the model's context."""
    examples = found.tokenizer.encode(probe_set.texts)
    try:
        capture.check_lengths(examples, found.config.context)
    except ValueError as error:
        raise ValueError(f"probes {probe_set.name}: {error}") from error
    return examples


def choose_run_mesh(checked: Checked, text: str | None) -> Mesh | None:
    """`sharding.choose_mesh` for the run's model and the rows of its steps."""
    run = checked.run
    return sharding.choose_mesh(
        hf.abstract_model(checked.checkpoint.config, run.load_in_4bit),
        text,
        rows_at_a_time(run),
    )


def rows_at_a_time(run: specs.RunSpec) -> int:
    """Rows of a step that a mesh must split: each of its parts runs --micro_batch_size at a time."""
    return run.batch_size // run.micro_batch_size


def _start(folder: pathlib.Path, lora_config: lora.LoraConfig) -> pathlib.Path:
    """The adapter folder to begin from, itself or inside a run folder, if its LoRA settings are the run's."""
    folder = folder / "adapter" if (folder / "run.json").is_file() else folder
    found = peft.load_adapter_config(folder)
    if found != lora_config:
        raise ValueError(f"adapter {folder}: {found}, expected the run's {lora_config}")
    return folder


def load_run_corpus(checked: Checked) -> corpora.Corpus:
    """The run's tokenized texts; the last few are kept."""
    run = checked.run
    domains = run.mixture.domains if run.mixture else ()
    return _corpus(
        run.model, domains, checked.length, run.data_root, run.max_train_samples
    )


@functools.lru_cache(maxsize=4)
def _corpus(model, domains, length, root, limit) -> corpora.Corpus:
    return corpora.load_corpus(
        domains, open_checkpoint(model).tokenizer, length, root, limit, progress=True
    )


def begin_run(checked: Checked, out: pathlib.Path, resume: bool) -> corpora.Corpus:
    """Writes run.json to the run folder `out`, or with `resume` sees that the one there says the same. Returns the texts.

    Raises ValueError for a folder that holds a run already, or whose settings, probes, tokenizer or texts are others. Of several
    processes the first looks and writes.
    """
    record = _record(checked)
    processes.broadcast_from_primary(lambda: _check_folder(out, record, resume))
    found = load_run_corpus(checked)
    record["corpus"] = found.hashes
    processes.broadcast_from_primary(
        lambda: _write_record(checked, out, record, resume)
    )
    return found


def _write_record(
    checked: Checked, out: pathlib.Path, record: dict, resume: bool
) -> None:
    _check_folder(out, record, resume)
    if not (out / "run.json").is_file():
        record["model_hash"] = fingerprint(checked.checkpoint.folder)
        run_folder.write_text(out / "run.json", json.dumps(record, indent=1) + "\n")


def _record(checked: Checked) -> dict:
    """What run.json says: settings that decide the result, hashes of what they name, and where it ran."""
    return {
        "settings": checked.run.to_json(),
        "parameters": transformer.parameter_count(checked.checkpoint.config),
        "probes": {
            "name": checked.probes.name,
            "number": len(checked.probes.probes),
            "hash": checked.probes.hash,
        },
        "csr_probes": checked.csr_probes.hash if checked.csr_probes else None,
        "tokenizer": checked.checkpoint.tokenizer.hash,
        "start": adapter_hash(checked.start) if checked.start else None,
        **origin(),
    }


def origin() -> dict:
    """Where a result comes from: command, as from the current folder, commit ("git"), versions, device, kept in every record so."""
    here = f"{pathlib.Path.cwd()}/"
    return {
        "command": [word.replace(here, "") for word in sys.argv],
        "git": _commit(),
        "versions": {p: importlib.metadata.version(p) for p in _PACKAGES}
        | {"python": platform.python_version()},
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
) -> dict:
    """`origin` and what else decides a script's result: hashes of model, adapter and probes, the seed; None where there is none.

    seconds: wall time of this process since `started`, a `time.perf_counter()`.
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
) -> dict:
    """model_hash, adapter_hash and probe_hash; None where there is none."""
    return {
        "model_hash": fingerprint(model.folder),
        "adapter_hash": adapter_hash(adapter) if adapter else None,
        "probe_hash": probe_set.hash if probe_set else None,
    }


def _commit() -> str | None:
    """The checkout's commit, "-dirty" where files differ from it; None outside one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    found = subprocess.run(
        command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True
    )
    return found.stdout.strip() or None


def _check_folder(out: pathlib.Path, record: dict, resume: bool) -> None:
    file = out / "run.json"
    if not file.is_file():
        return
    if not resume:
        raise ValueError(
            f"--output_dir {out} already holds a run: give another folder, or --resume to continue it"
        )
    before = json.loads(file.read_text())
    pairs = specs.differences(checked_run(record), checked_run(before))
    pairs += [
        (name, record[name], before.get(name))
        for name in ("probes", "csr_probes", "tokenizer", "start", "corpus")
        if name in record
    ]
    for name, value, old in pairs:
        if value != old:
            raise ValueError(
                f"{name} is {value!r}, but the run in {out} has {old!r}: expected the same to continue it"
            )


def checked_run(record: dict) -> specs.RunSpec:
    """The `Run` of a run.json."""
    return specs.run_from_json(record["settings"])


@functools.lru_cache(maxsize=8)
def fingerprint(folder: pathlib.Path) -> str:
    """One hash of a checkpoint's config and shards: the Hub's own sha256 where a file is its cache's, else read through."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name} {file_hash(file)}\n".encode())
    return digest.hexdigest()[:16]


def adapter_hash(source: str | pathlib.Path) -> str:
    """sha256 of the tensors of an adapter folder or Hub id; of its shards' hashes where there are several."""
    files = safetensors_folder.locate(str(source)).glob("adapter_model*.safetensors")
    found = [file_hash(f) for f in sorted(files)]
    return (
        found[0]
        if len(found) == 1
        else hashlib.sha256("".join(found).encode()).hexdigest()
    )


def file_hash(file: pathlib.Path) -> str:
    """sha256 of a file."""
    blob = file.resolve().name
    if file.is_symlink() and re.fullmatch("[0-9a-f]{64}", blob):
        return blob
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

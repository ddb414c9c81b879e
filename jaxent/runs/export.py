"""What a run trained as a folder to share: adapter, merged model, or whole model."""

import dataclasses
import pathlib
import shutil
from typing import Any

import huggingface_hub

from jaxent import json_files
from jaxent.arrays import lora
from jaxent.checkpoint import (
    full_weights,
    merge,
    model_files,
    peft,
    peft_config,
    safetensors_folder,
)
from jaxent.distributed import axes
from jaxent.runs import folder as run_folder
from jaxent.runs import hub, model_card, validate

_ADAPTER_FILES = (
    "adapter_config.json",
    *hub.ADAPTER_WEIGHTS,
    *model_files.TOKENIZER_FILES,
)


@dataclasses.dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
      adapter: the adapter's folder; that of the model where all weights were trained.
      model: its base model, a folder or Hub id.
      run: the run that trained it; None where none is known.
      revision: the base's branch, tag or commit on the Hub, as the run had it.
    """

    adapter: pathlib.Path
    model: str
    run: run_folder.RunFolder | None = None
    revision: str | None = None

    @property
    def is_full(self) -> bool:
        """Whether all weights were trained."""
        return full_weights.is_full(self.adapter)


def open_source(
    adapter: str, model: str | None = None, revision: str | None = None
) -> Source:
    """Finds an adapter, its base and its run.

    Args:
      adapter: a run folder, the adapter folder of one, or another adapter's folder or
        Hub id.
      model: the base model, where it is not to be the recorded one.
      revision: of the model, where it is not to be the recorded one's.

    Raises:
      ValueError: the run is not finished or trained no adapter.
      FileNotFoundError: there is no such folder or id.
    """
    run = _find_run(pathlib.Path(adapter))
    if run is not None:
        _check_run(run)
        settings = run.read_record()["settings"]
        if model is not None:
            return Source(run.trained, model, run, revision)
        recorded = revision or settings.get("revision")
        return Source(run.trained, settings["model"], run, recorded)
    folder = safetensors_folder.locate(adapter)
    if full_weights.is_full(folder):
        raise ValueError(
            f"{folder}: a whole model of which no run is known, expected an adapter or "
            "a run folder"
        )
    base = model or peft_config.read_adapter_config(folder).base
    if not base:
        raise ValueError(
            f"{folder}/adapter_config.json: base_model_name_or_path {base!r}, expected "
            "a model's name, or --model"
        )
    return Source(folder, base, revision=revision)


def _find_run(path: pathlib.Path) -> run_folder.RunFolder | None:
    candidates = [path]
    if path.name in (run_folder.ADAPTER, run_folder.MODEL):
        candidates.append(path.parent)
    runs = map(run_folder.RunFolder, candidates)
    return next((run for run in runs if run.begun), None)


def _check_run(run: run_folder.RunFolder) -> None:
    settings = run.read_record()["settings"]
    if settings["condition"] == "B0":
        raise ValueError(
            f"{run.path}: condition B0 trains no adapter, expected one that does"
        )
    files = [run.adapter / "adapter_config.json", run.model / "config.json"]
    if not run.finished or not any(file.is_file() for file in files):
        raise ValueError(
            f"{run.path}: the run is not finished, expected {run.summary.name} and "
            f"{run.trained.name}/ (finetune.py --resume continues it)"
        )


def _read_lora_config(folder: pathlib.Path) -> lora.LoraConfig:
    """What a card says of an adapter; patterns of modules' own ranks are not said."""
    stated = peft_config.read_adapter_config(folder)
    named = stated.target_modules
    ends = {name.rpartition(".")[2] for name in named if not isinstance(named, str)}
    modules = tuple(name for name in lora.MODULES if name in ends) or lora.MODULES
    return lora.LoraConfig(
        stated.rank,
        stated.alpha,
        stated.dropout,
        modules,
        stated.use_rslora,
        stated.use_dora,
    )


def plan_merge(
    source: Source, base: str = "original", dtype: Any = None
) -> merge.Merge:
    """Checks that an adapter belongs to its base, and says what merging makes.

    Args:
      source: the adapter.
      base: "original" or "dequantised", as `merge.Merge` has it.
      dtype: of every tensor; None: the base's, float32 of a run that trained all
        weights.

    Returns:
      What is merged; nothing but headers and the adapter is in memory.

    Raises:
      ValueError: the model is not the one that the run trained on, or base or adapter
        cannot be merged.
      FileNotFoundError: a file is missing.
    """
    checkpoint = validate.open_checkpoint(source.model, source.revision)
    if source.run is not None:
        _check_base(source.run.read_record(), source.model, checkpoint.folder, base)
    host, tensors = None, source.adapter
    if not source.is_full:
        adapter = peft.load_adapter(str(source.adapter), checkpoint.config)
        host, tensors = axes.to_host(adapter), checkpoint.folder
    folder = safetensors_folder.open_folder(tensors)
    plan = merge.Merge(folder, checkpoint.config, host, dtype, base)
    merge.check_merge(plan)
    files = model_files.list_files(folder.path, source.adapter)
    model_files.check_vocabulary(files, checkpoint.config.vocab)
    return plan


def _check_base(
    record: run_folder.RunRecord, model: str, folder: pathlib.Path, base: str
) -> None:
    if base == "dequantised" and not record["settings"].get("load_in_4bit"):
        raise ValueError(
            "base dequantised: the run trained on unquantised weights, expected base "
            "original"
        )
    expected, value = record.get("model_hash"), validate.fingerprint(folder)
    if expected and value != expected:
        raise ValueError(
            f"model {model}: hash of config and weights {value}, expected {expected}, "
            "the model that the run trained on"
        )


def check_output(out: pathlib.Path, size: int = 0) -> None:
    """Checks that an export can be written.

    Args:
      out: its folder.
      size: bytes that it takes.

    Raises:
      ValueError: something is in the folder, or the disk has no room.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--output_dir {out}: expected a new or an empty folder")
    above = next(folder for folder in out.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(above).free
    if free < size:
        raise ValueError(
            f"--output_dir {out}: {free / 1e9:.1f} GB are free, expected "
            f"{size / 1e9:.1f} GB"
        )


def write_merged(
    source: Source,
    plan: merge.Merge,
    out: pathlib.Path,
    max_shard_size: str = merge.MAX_SHARD_SIZE,
    base_id: str | None = None,
    progress: bool = True,
) -> None:
    """Writes the merged model: tensors, configurations, tokenizer and model card.

    The folder has its name once it is whole.

    Args:
      source: the adapter.
      plan: of `plan_merge`.
      out: a new or empty folder.
      max_shard_size: the most that a file of tensors holds.
      base_id: the Hub id of the base, where a folder was used.
      progress: whether to show a progress bar.

    Raises:
      ValueError: a merged value is NaN or infinite.
    """
    partial = _begin(out)
    merge.write(plan, partial, max_shard_size, progress)
    model_files.write_config(plan.folder.path, partial, plan.dtype)
    files = model_files.list_files(plan.folder.path, source.adapter)
    model_files.copy_files(files, partial)
    _merged_card(source, plan, base_id).save(partial / model_card.FILE)
    partial.rename(out)


def _merged_card(
    source: Source, plan: merge.Merge, base_id: str | None
) -> huggingface_hub.ModelCard:
    if plan.adapter is None:
        return _card(source, None, "full", base_id)
    weights = "the weights" if plan.base == "original" else "the values of NF4 weights"
    remark = f"The adapter was added to {weights} of its base in float32."
    return _card(source, plan.adapter.config, "merged", base_id, remark)


def write_adapter(
    source: Source, out: pathlib.Path, base_id: str | None = None
) -> None:
    """Writes a copy of the adapter in PEFT's format, with a model card.

    Args:
      source: the adapter.
      out: a new or empty folder.
      base_id: the Hub id of the base, where a folder was used: adapter_config.json
        names it.
    """
    lora_config = _read_lora_config(source.adapter)
    partial = _begin(out)
    files = model_files.find(source.adapter, _ADAPTER_FILES)
    model_files.copy_files(files, partial)
    if base_id:
        config = json_files.read_json(source.adapter / "adapter_config.json")
        config["base_model_name_or_path"] = base_id
        run_folder.write_json(partial / "adapter_config.json", config)
    card = _card(source, lora_config, "adapter", base_id)
    card.save(partial / model_card.FILE)
    partial.rename(out)


def _begin(out: pathlib.Path) -> pathlib.Path:
    """An empty folder beside `out`; what a killed export left there is removed."""
    partial = out.with_name(f"{out.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    return partial


def _card(
    source: Source,
    lora_config: lora.LoraConfig | None,
    kind: model_card.Kind,
    base_id: str | None,
    remark: str = "",
) -> huggingface_hub.ModelCard:
    if source.run is None:
        assert lora_config is not None  # `open_source` knows the run of whole models
        base = base_id or source.model
        return model_card.make_plain_card(base, lora_config, kind, remark)
    record, summary = source.run.read_record(), source.run.read_summary()
    return model_card.make_card(record, summary, kind, base_id, remark)


def check_base_name(source: Source, base_id: str | None) -> None:
    """Checks that others can load a pushed adapter: its base must be on the Hub.

    Args:
      source: the adapter.
      base_id: the Hub id of its base, if it is given.

    Raises:
      ValueError: the adapter names a folder of this machine as its base.
    """
    recorded = peft_config.read_adapter_config(source.adapter).base
    if base_id is None and model_card.hub_id(recorded) is None:
        raise ValueError(
            f"{source.adapter}/adapter_config.json: base_model_name_or_path "
            f"{recorded!r} is no Hub id, expected one that others can load: give it "
            "with --base_model_id"
        )

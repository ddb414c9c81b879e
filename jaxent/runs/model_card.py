"""The model card of an adapter or a merged model: README.md with its metadata.

It is made from a run's record and summary, so that whoever finds the model can say
where it comes from. Folders of this machine appear under their last name only.
"""

import importlib.metadata
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import huggingface_hub
from huggingface_hub import utils as hub_utils

from jaxent.arrays import lora
from jaxent.data import corpora, sources
from jaxent.runs import before_after, console, quantities
from jaxent.runs import folder as run_folder

FILE = "README.md"
Kind = Literal["adapter", "merged", "full"]

_CONDITIONS = {
    "B1": "code alone",
    "B2": "70% code, 30% math",
    "B3": "70% code, 30% natural language",
    "B4": "B2's data, with CSR's penalty",
    "B5": "math, then code",
    "B6": "70% code, 30% creative writing",
}
_TUNERS = {"lora": "LoRA", "rslora": "Rank-stabilised LoRA", "dora": "DoRA"}
_FULL = "full"
# A path that begins at the root, at home or at the current folder.
_LOCAL_PATH = re.compile(r"(?<![\w.:/-])(?:~|\.{0,2})/(?:[^/\s,]+/)*([^/\s,]+)/?")
_FILES = (".json", ".jsonl", ".parquet", ".csv", ".txt")
_ELSEWHERE = ("model", "revision", "seed")  # settings that other sections show

_PEFT_CODE = """\
import peft, transformers

model = transformers.AutoModelForCausalLM.from_pretrained({base!r})
model = peft.PeftModel.from_pretrained(model, "<this repository>")
tokenizer = transformers.AutoTokenizer.from_pretrained({base!r})
"""
_MERGED_CODE = """\
import transformers

model = transformers.AutoModelForCausalLM.from_pretrained("<this repository>")
tokenizer = transformers.AutoTokenizer.from_pretrained("<this repository>")
"""


def hub_id(name: str | None) -> str | None:
    """The name, if it is that of a repository on the Hub.

    Args:
      name: a folder or Hub id.

    Returns:
      The name; None for a folder, which the Hub would refuse in a card's metadata.

    Example:
      >>> hub_id("Qwen/Qwen2.5-Coder-7B"), hub_id("/models/qwen")
      ('Qwen/Qwen2.5-Coder-7B', None)
    """
    if not name or name.count("/") != 1 or pathlib.Path(name).exists():
        return None
    try:
        hub_utils.validate_repo_id(name)
    except hub_utils.HFValidationError:
        return None
    return name


def hide_paths(value: Any) -> str:
    """A setting as text, folders of this machine under their last name.

    Args:
      value: a setting, or a word of a command.

    Returns:
      The text.

    Example:
      >>> hide_paths("--domain=law=/home/me/law.jsonl"), hide_paths(("a", "b"))
      ('--domain=law=law.jsonl', 'a, b')
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(hide_paths, value))
    return _LOCAL_PATH.sub(r"\1", str(value))


def make_card(
    record: run_folder.RunRecord,
    summary: run_folder.Summary,
    kind: Kind = "adapter",
    base: str | None = None,
    remark: str = "",
) -> huggingface_hub.ModelCard:
    """Makes the card of a finished run.

    Args:
      record: its run.json.
      summary: its summary.json.
      kind: "adapter", "merged", or "full" where all weights were trained.
      base: the Hub id of its base model, where the run used a folder.
      remark: a sentence on how the model was made from the run.

    Returns:
      The card; `card.save(file)` writes it.

    Raises:
      ValueError: the metadata is not valid.
    """
    settings = record["settings"]
    title = f"{_short(base or settings['model'])}, {settings['condition']}"
    parts = [
        f"# {title}, seed {settings['seed']}",
        _introduction(settings, kind, base, remark),
        _use(base or settings["model"], kind),
        _base_section(record, base),
        _recipe(settings, summary),
        _data(record),
        _csr(settings, summary),
        _measures(record, summary),
        _code(record),
    ]
    data = _metadata(base or settings["model"], kind, _data_sets(record))
    return _assemble(data, parts)


def make_plain_card(
    base: str, config: lora.LoraConfig, kind: Kind = "adapter", remark: str = ""
) -> huggingface_hub.ModelCard:
    """Makes the card of an adapter of which no run is known.

    Args:
      base: its base model, a Hub id or a folder.
      config: the adapter's settings.
      kind: "adapter" or "merged".
      remark: a sentence on how the model was made.

    Returns:
      The card.

    Example:
      >>> card = make_plain_card("a/b", lora.LoraConfig(rank=8))
      >>> card.data.base_model, card.data.library_name
      ('a/b', 'peft')
    """
    parts = [
        f"# {_short(base)}, fine-tuned",
        f"{_what(kind)} of {_name_base(base)}. {remark}".strip(),
        _use(base, kind),
        "## Recipe",
        f"{_tuner_name(config)} of rank {config.rank}, alpha {config.alpha:g}, on "
        f"{', '.join(config.modules)}. How it was trained is not recorded here.",
        f"## Code\n\njaxent {importlib.metadata.version('jaxent')}.",
    ]
    return _assemble(_metadata(base, kind, []), parts)


def _tuner_name(config: lora.LoraConfig) -> str:
    if config.use_dora:
        return _TUNERS["dora"]
    return _TUNERS["rslora" if config.use_rslora else "lora"]


def write_card(folder: run_folder.RunFolder, summary: run_folder.Summary) -> None:
    """Writes the card into the folder of what a run trained.

    Args:
      folder: the run folder; its record is there.
      summary: the run's summary, which may not be written yet.
    """
    record = folder.read_record()
    kind: Kind = "full" if record["settings"].get("tuner") == _FULL else "adapter"
    card = make_card(record, summary, kind)
    run_folder.write_text(folder.trained / FILE, str(card))


def _assemble(
    data: huggingface_hub.ModelCardData, parts: list[str]
) -> huggingface_hub.ModelCard:
    text = "\n\n".join(part for part in parts if part)
    return huggingface_hub.ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n")


def _metadata(
    base: str, kind: Kind, data_sets: list[str]
) -> huggingface_hub.ModelCardData:
    known = hub_id(base)
    relation = "adapter" if kind == "adapter" else "finetune"
    return huggingface_hub.ModelCardData(
        base_model=known,
        base_model_relation=relation if known else None,
        datasets=data_sets or None,
        library_name="peft" if kind == "adapter" else "transformers",
        pipeline_tag="text-generation",
        tags=["jaxent"] if kind == "full" else ["jaxent", "lora"],
    )


def _data_sets(record: run_folder.RunRecord) -> list[str]:
    """The Hub ids of what the run read from the Hub."""
    settings = record["settings"]
    ids = {source.name: source.hub[0] for source in sources.SOURCES}
    found = [ids[name] for name in record.get("corpus", {}) if name in ids]
    if settings.get("data_root"):
        found = []
    # Data of one's own: id[:configuration], or domain=id[:configuration].
    own = [settings.get("dataset"), *(settings.get("domain") or ())]
    for text in filter(None, own):
        name = hub_id(text.rpartition("=")[2].partition(":")[0])
        if name and pathlib.PurePath(name).suffix not in _FILES:
            found.append(name)
    return list(dict.fromkeys(found))


def _short(model: str) -> str:
    return pathlib.PurePath(model).name


def _name_base(model: str) -> str:
    known = hub_id(model)
    return f"[{known}](https://huggingface.co/{known})" if known else _short(model)


def _what(kind: Kind) -> str:
    return {
        "adapter": "A LoRA adapter",
        "merged": "A fine-tuned copy, its LoRA adapter merged into the weights,",
        "full": "A fine-tuned copy, all weights trained,",
    }[kind]


def _introduction(
    settings: Mapping[str, Any], kind: Kind, base: str | None, remark: str
) -> str:
    condition = settings["condition"]
    trained = _CONDITIONS.get(condition, "its own data")
    return (
        f"{_what(kind)} of {_name_base(base or settings['model'])}, trained under "
        f"condition {condition} ({trained}) with jaxent. {remark}"
    ).strip()


def _use(base: str, kind: Kind) -> str:
    code = _PEFT_CODE if kind == "adapter" else _MERGED_CODE
    name = hub_id(base) or f"<folder of {_short(base)}>"
    return f"## Use\n\n```python\n{code.format(base=name)}```"


def _base_section(record: run_folder.RunRecord, base: str | None) -> str:
    settings = record["settings"]
    rows = [
        ("model", base or hide_paths(settings["model"])),
        ("revision", settings.get("revision")),
        ("commit on the Hub", record.get("model_commit")),
        ("parameters", record.get("parameters")),
        ("hash of config and weights", record.get("model_hash")),
        ("sha256 of tokenizer.json", record.get("tokenizer")),
        ("adapter that training began from, sha256", record.get("start")),
    ]
    return f"## Base\n\n{_table(rows)}"


def _recipe(settings: Mapping[str, Any], summary: run_folder.Summary) -> str:
    text = (
        f"{_tuning(settings)}; {summary.get('steps')} optimizer steps of "
        f"{settings.get('batch_size')} examples, {summary.get('tokens')} tokens in "
        f"all; seed {settings['seed']}."
    )
    loss = summary.get("final_loss")
    if loss is not None:
        text += f" The mean loss of the last steps is {loss:.4f} nats a token."
    rows = [
        (name, hide_paths(value))
        for name, value in settings.items()
        if value is not None and _is_of_recipe(name, settings)
    ]
    return f"## Recipe\n\n{text}\n\n{_table(rows)}"


def _tuning(settings: Mapping[str, Any]) -> str:
    """What was trained."""
    if settings.get("tuner") == _FULL:
        return "All weights, in float32"
    modules = settings.get("lora_target_modules", ())
    weights = "4-bit NF4" if settings.get("load_in_4bit") else "unquantised"
    tuner = _TUNERS[settings.get("tuner", "lora")]
    return (
        f"{tuner} of rank {settings['lora_r']}, alpha {settings['lora_alpha']:g}, "
        f"on {hide_paths(modules)}, over {weights} base weights"
    )


def _is_of_recipe(name: str, settings: Mapping[str, Any]) -> bool:
    unused = ("csr_", "lora_") if settings.get("tuner") == _FULL else ("csr_",)
    return name not in _ELSEWHERE and not name.startswith(unused)


def _data(record: run_folder.RunRecord) -> str:
    root = record["settings"].get("data_root")
    where = "the Hugging Face Hub"
    if root:
        is_embedded = root == corpora.EMBEDDED
        where = "jaxent itself" if is_embedded else f"local files ({hide_paths(root)})"
    rows = list(record.get("corpus", {}).items())
    if not rows:
        return ""
    return (
        f"## Data\n\nRead from {where}; the hash is of texts, tokenizer and length.\n\n"
        f"{_table(rows, ('source', 'hash'))}"
    )


def _csr(settings: Mapping[str, Any], summary: run_folder.Summary) -> str:
    """CSR's settings and what it did; a sentence for a run without it."""
    if not settings.get("csr_lambda"):
        return "## CSR\n\nNo penalty on activations (CSR) was used."
    rows = [(n, hide_paths(v)) for n, v in settings.items() if n.startswith("csr_")]
    names = ("csr_loss", "csr_ratio", "csr_drift", "csr_drift_outside")
    results = _results(summary, names)
    return f"## CSR\n\n{_table([*rows, *results])}"


def _results(
    summary: run_folder.Summary, names: Sequence[str]
) -> list[tuple[str, str]]:
    """Numbers of a summary by name, those that it lacks left out."""
    values = [(name, quantities.RESULTS[name](summary)) for name in names]
    return [
        (f"{name} (result)", f"{value:.4g}")
        for name, value in values
        if value is not None
    ]


def _measures(record: run_folder.RunRecord, summary: run_folder.Summary) -> str:
    """Every quantity before and after training, with its intervals."""
    probes, sets = record.get("probes", {}), summary["before"].get("sets")
    rows, changes = [], before_after.list_changes(summary)
    for one in changes:
        cells = [
            before_after.format_interval(one.before, one.before_interval),
            before_after.format_interval(one.after, one.after_interval),
            before_after.format_interval(one.change, one.change_interval, "+"),
        ]
        rows.append([one.title, *cells, "-" if one.p is None else f"{one.p:.3g}"])
    header = ["", "before", "after", "paired change", "sign-flip p"]
    table = console.format_markdown(header, rows, ["---"] + ["---:"] * 4)
    further = _results(summary, ("drift", "drift_outside", "sv_energy"))
    reasons = "\n".join(f"- {line}" for line in before_after.list_reasons(changes))
    return (
        "## Measured before and after\n\n"
        f"On {probes.get('number')} probes ({hide_paths(probes.get('name'))}, hash "
        f"{probes.get('hash')}) in {sets} replicate sets, each fitted by itself; in "
        "brackets the 95% interval over them, which says nothing of other seeds. CVO "
        "is the number to trust; EI is as published.\n\n"
        f"{table}\n\n{reasons}\n\n{_table(further)}"
    ).strip()


def _code(record: run_folder.RunRecord) -> str:
    versions = record.get("versions", {})
    command = " ".join(map(hide_paths, record.get("command", [])))
    rows = [
        ("jaxent", versions.get("jaxent")),
        ("commit", record.get("git")),
        ("jax", versions.get("jax")),
        ("python", versions.get("python")),
        ("device", _device(record)),
        ("command", f"`{command}`" if command else None),
    ]
    return f"## Code\n\n{_table(rows)}"


def _device(record: run_folder.RunRecord) -> str | None:
    if "device" not in record:
        return None
    return f"{record.get('devices', 1)} x {record['device']}"


def _table(rows, header: tuple[str, str] = ("", "")) -> str:
    """A Markdown table of names and values; those without a value are left out."""
    known = [(str(name), str(value)) for name, value in rows if value is not None]
    return console.format_markdown(header, known) if known else ""

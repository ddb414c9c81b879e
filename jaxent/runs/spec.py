"""Run specifications: all that decides a run's result, as frozen data."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxent.arrays import lora
from jaxent.data import corpora, holdout, mix, own
from jaxent.measure import penalty
from jaxent.paper import settings as paper_settings
from jaxent.runs import folder as run_folder
from jaxent.runs import schema
from jaxent.train import step

_EMBEDDED = pathlib.Path(corpora.__file__).parent / "checkpoints"
TINY_MODEL = str(_EMBEDDED / "tiny")
# 0.3 and 1.0M parameters, trained alike.
TINY_LADDER = (str(_EMBEDDED / "tiny-small"), TINY_MODEL)
TUNERS = ("lora", "rslora", "dora", "full")
"""What is trained: adapters of three kinds, or all weights."""
REMATS = ("auto", "full", "none")
DECODINGS = ("auto", "once", "every_use")
# What each changes about `RunSpec`'s defaults (sections 2.2 and 6.3).
INTERVENTIONS: dict[str, dict[str, Any]] = {
    "strong": {},
    "light": dict(paper_settings.LIGHT_CHANGES),
}
# tiny: the embedded checkpoint's texts, sizes and steps for two cores.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "tiny": {
        "data_root": corpora.EMBEDDED,
        "max_steps": 60,
        "lora_r": 16,
        "lora_alpha": 32.0,
        "max_length": 256,
        "learning_rate": 1e-3,
        "measure_steps": 20,
        "save_steps": 20,
    },
}


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """One run; the fields are finetune.py's flags, which explain them.

    Defaults are section 2.2's. A run of condition B0 measures only.

    Attributes:
      condition: B0 to B6 of Table 1, or "own" with `dataset` or `mixture`.
      intervention: a label; its settings are in the other fields.
      adapter: an adapter folder or run folder to begin from, relative to the study's
        folder, with a fresh optimizer and schedule.
      domain: of data of one's own, as `own.parse_domain` reads them.
      max_train_samples: None becomes the paper's, but stays None (all rows) where there
        is data of one's own.
      csr_lambda: None becomes 0.1 for B4 and 0 otherwise.

    Raises:
      ValueError: settings do not fit each other, or one of a few values has another.

    Example:
      >>> run = RunSpec("Qwen/Qwen2.5-Coder-7B", "B4", seed=1)
      >>> run.name, run.lora_r, run.csr_lambda
      ('qwen2.5-coder-7b/B4-strong-seed1-lambda0.1', 64, 0.1)
    """

    model: str
    condition: str = "B3"
    intervention: str = "strong"
    seed: int = 0
    adapter: str | None = None
    data_root: str | None = paper_settings.STRONG["data_root"]
    dataset: str | None = None
    dataset_revision: str | None = None
    domain: tuple[str, ...] = ()
    mixture: str | None = None
    text_column: str | None = None
    prompt_column: str | None = None
    completion_column: str | None = None
    messages_column: str | None = None
    loss_on: str | None = None
    streaming: bool = False
    max_train_samples: int | None = None
    lora_r: int = paper_settings.STRONG["lora_r"]
    lora_alpha: float = paper_settings.STRONG["lora_alpha"]
    lora_dropout: float = paper_settings.STRONG["lora_dropout"]
    lora_target_modules: tuple[str, ...] = paper_settings.STRONG["lora_target_modules"]
    tuner: str = "lora"
    max_steps: int = paper_settings.STRONG["max_steps"]
    learning_rate: float = paper_settings.STRONG["learning_rate"]
    warmup_ratio: float = paper_settings.STRONG["warmup_ratio"]
    batch_size: int = paper_settings.STRONG["batch_size"]
    micro_batch_size: int = 1
    max_length: int = paper_settings.STRONG["max_length"]
    packing: bool = True
    remat: str = "auto"
    decode_base: str = "auto"
    curriculum_steps: int = paper_settings.STRONG["curriculum_steps"]
    load_in_4bit: bool = paper_settings.STRONG["load_in_4bit"]
    dtype: str | None = None
    probes: str = paper_settings.STRONG["probes"]
    probe_sets: int | None = paper_settings.STRONG["probe_sets"]
    csr_lambda: float | None = None
    csr_every: int = paper_settings.CSR["csr_every"]
    csr_variance: float = paper_settings.CSR["csr_variance"]
    csr_target: str = paper_settings.CSR["csr_target"]
    csr_centred: bool = paper_settings.CSR["csr_centred"]
    csr_probes: str = paper_settings.CSR["csr_probes"]
    measure_steps: int = paper_settings.MEASURE_STEPS
    save_steps: int = 100
    eval_steps: int | None = None
    eval_share: float = 0.05
    max_eval_samples: int = 200
    revision: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "lora_target_modules", tuple(self.lora_target_modules))
        object.__setattr__(self, "domain", tuple(self.domain))
        if self.csr_lambda is None:
            is_csr = self.condition == "B4"
            weight = paper_settings.CSR_LAMBDA if is_csr else 0.0
            object.__setattr__(self, "csr_lambda", weight)
        choices = {"tuner": TUNERS, "remat": REMATS, "decode_base": DECODINGS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"--{name} {getattr(self, name)!r}: "
                    f"expected one of {', '.join(known)}"
                )
        if self.tuner == "full":
            self._check_full()
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"--micro_batch_size {self.micro_batch_size}: "
                f"expected a divisor of --batch_size {self.batch_size}"
            )
        self._check_data()
        if self.max_train_samples is None and self.condition != own.CONDITION:
            limit = paper_settings.STRONG["max_train_samples"]
            object.__setattr__(self, "max_train_samples", limit)

    def _check_full(self) -> None:
        """ValueError for settings that do not go with training all weights."""
        if self.load_in_4bit:
            raise ValueError(
                "--tuner=full with 4-bit weights: expected --noload_in_4bit, for "
                "quantised weights cannot be trained"
            )
        if self.adapter:
            raise ValueError(
                f"--tuner=full with --adapter {self.adapter}: expected the model to "
                "begin from as --model (scripts/export.py merges an adapter)"
            )

    def _check_data(self) -> None:
        """ValueError where the settings of the data do not fit each other."""
        has_own = bool(self.dataset or self.mixture)
        if has_own != (self.condition == own.CONDITION):
            raise ValueError(
                f"condition {self.condition!r} with --dataset {self.dataset} and "
                f"--mixture {self.mixture}: expected {own.CONDITION!r} with one of "
                "them, a condition of Table 1 without"
            )
        if self.domain and not self.mixture:
            raise ValueError(f"--domain {self.domain[0]}: expected --mixture with it")
        if self.dataset_revision and not self.dataset:
            raise ValueError(
                f"--dataset_revision {self.dataset_revision}: expected --dataset too"
            )
        options = [name for name in (*own.COLUMNS, "loss_on") if getattr(self, name)]
        if options and not self.own_sources:
            raise ValueError(f"--{options[0]}: expected --dataset or --domain with it")
        for name in ("eval_steps", "max_train_samples", "max_eval_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name} {value}: expected at least 1")
        _check_domains(self.training_mixture, self.own_sources)

    @property
    def lora_config(self) -> lora.LoraConfig | None:
        """The adapter's rank, scale, dropout, modules and kind; None for full."""
        if self.tuner == "full":
            return None
        return lora.LoraConfig(
            self.lora_r,
            self.lora_alpha,
            self.lora_dropout,
            self.lora_target_modules,
            use_rslora=self.tuner == "rslora",
            use_dora=self.tuner == "dora",
        )

    @property
    def train_config(self) -> step.TrainConfig:
        """The optimizer's constants."""
        return step.TrainConfig(
            self.max_steps,
            self.learning_rate,
            self.warmup_ratio,
            micro_batch_size=self.micro_batch_size,
            csr_every=self.csr_every,
        )

    @property
    def training_mixture(self) -> mix.Mixture | None:
        """What the run trains on; None for B0."""
        if self.mixture:
            return mix.parse_mixture(self.mixture)
        if self.dataset:
            return mix.parse_mixture(f"{own.DATASET}:100")
        return mix.condition_mixture(self.condition, self.curriculum_steps)

    @property
    def own_sources(self) -> tuple[own.OwnSource, ...]:
        """The run's data of one's own, --dataset first."""
        defaults = {name: getattr(self, name) for name in (*own.COLUMNS, "loss_on")}
        sources = [own.parse_domain(text, **defaults) for text in self.domain]
        if self.dataset:
            first = own.OwnSource(
                own.DATASET, self.dataset, **defaults, revision=self.dataset_revision
            )
            sources.insert(0, first)
        return tuple(sources)

    @property
    def held_out(self) -> holdout.HoldoutConfig | None:
        """What the run holds out; None where it scores nothing."""
        if self.eval_steps is None:
            return None
        return holdout.HoldoutConfig(self.eval_share, self.max_eval_samples)

    @property
    def csr(self) -> penalty.CsrConfig | None:
        """The penalty's settings; None without one."""
        if not self.csr_lambda:
            return None
        return penalty.CsrConfig(
            self.csr_lambda, self.csr_target, self.csr_variance, self.csr_centred
        )

    @property
    def name(self) -> str:
        """The run's folder below a study's.

        model/condition-intervention-seed, and what else sets runs of a study apart.
        """
        model = pathlib.Path(self.model).name.lower()
        if self.condition == "B0":
            return f"{model}/B0"
        parts = [self._data_label, self.intervention, f"seed{self.seed}"]
        if self.condition == "B4" or self.csr_lambda:
            parts.append(f"lambda{self.csr_lambda:g}")
        if self.tuner != "lora":
            parts.append(self.tuner)
        if self.adapter:
            parts.append(f"from-{_adapter_label(self.adapter)}")
        return f"{model}/{'-'.join(parts)}"

    @property
    def _data_label(self) -> str:
        """What a name says of the data: the condition, or what one's own is."""
        if self.condition != own.CONDITION:
            return self.condition
        data = self.mixture or pathlib.Path(str(self.dataset)).stem
        return f"{own.CONDITION}-{re.sub(r'[^.A-Za-z0-9_]+', '-', data)}"

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values."""
        lists = {"domain": list(self.domain)}
        lists["lora_target_modules"] = list(self.lora_target_modules)
        return dataclasses.asdict(self) | lists


def _check_domains(
    mixture: mix.Mixture | None, sources: Sequence[own.OwnSource]
) -> None:
    """ValueError unless every domain of a mixture has texts, and every text a part."""
    names = [source.domain for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--domain {name}: found twice, expected once")
        if mixture is None or name not in mixture.domains:
            used = ", ".join(mixture.domains) if mixture else "none"
            flag = "--dataset" if name == own.DATASET else f"--domain {name}"
            raise ValueError(
                f"{flag}: no part of the mixture (domains {used}), expected a share of "
                f"{name}"
            )
    for name in mixture.domains if mixture else ():
        if name not in (*names, *mix.DOMAINS):
            raise ValueError(
                f"--mixture: domain {name!r} has no texts, expected --domain "
                f"{name}=PATH, or one of {', '.join(mix.DOMAINS)}"
            )


def run_from_json(settings: Mapping[str, Any]) -> RunSpec:
    """The run of a `RunSpec.to_json`.

    Args:
      settings: by field; fields that are missing have their defaults.

    Raises:
      ValueError: a field is none of `RunSpec`'s.

    Example:
      >>> run_from_json(RunSpec("m", seed=3).to_json()) == RunSpec("m", seed=3)
      True
    """
    settings = schema.upgrade_run_settings(settings)
    names = [f.name for f in dataclasses.fields(RunSpec)]
    unknown = sorted(set(settings) - set(names))
    if unknown:
        raise ValueError(
            f"run setting {unknown[0]!r}: expected one of {', '.join(names)}"
        )
    return RunSpec(**settings)


def _adapter_label(adapter: str) -> str:
    """What the name of a run says of the adapter that it begins from."""
    path = pathlib.Path(adapter)
    name = path.parent.name if path.name == run_folder.ADAPTER else path.name
    return re.sub(r"[^\w.-]+", "-", name)


def differences(run: RunSpec, other: RunSpec) -> list[tuple[str, Any, Any]]:
    """(field, value, other's value) of every field in which two runs differ.

    Example:
      >>> differences(RunSpec("m"), RunSpec("m", seed=2))
      [('seed', 0, 2)]
    """
    names = [f.name for f in dataclasses.fields(RunSpec)]
    pairs = [(name, getattr(run, name), getattr(other, name)) for name in names]
    return [(name, a, b) for name, a, b in pairs if a != b]

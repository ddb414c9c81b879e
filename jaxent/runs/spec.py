"""Run specifications: all that decides a run's result, as frozen data, and the folder it goes to."""

import dataclasses
import pathlib
import re

from jaxent.arrays import lora
from jaxent.data import corpora, mix
from jaxent.measure import penalty
from jaxent.paper import settings as paper_settings
from jaxent.runs import schema
from jaxent.train import step

_EMBEDDED = pathlib.Path(corpora.__file__).parent / "checkpoints"
TINY_MODEL = str(_EMBEDDED / "tiny")
TINY_LADDER = (
    str(_EMBEDDED / "tiny-small"),
    TINY_MODEL,
)  # 0.3 and 1.0M parameters, trained alike
INTERVENTIONS = {"strong": {}, "light": dict(paper_settings.LIGHT_CHANGES)}
"""What each intervention changes about `RunSpec`'s defaults (sections 2.2 and 6.3)."""
PRESETS = {  # tiny: the embedded checkpoint's texts, sizes and steps for two cores
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
    """One run. Defaults are section 2.2's; the fields are finetune.py's flags, which explain them.

    intervention: a label; its settings are in the other fields. start: an adapter folder or run folder to begin from, with
    a fresh optimizer and schedule; relative to the study's folder. csr_lambda: None is 0.1 for B4 and 0 otherwise. B0 measures only.
    """

    model: str
    condition: str = "B3"
    intervention: str = "strong"
    seed: int = 0
    adapter: str | None = None
    data_root: str | None = paper_settings.STRONG["data_root"]
    max_train_samples: int = paper_settings.STRONG["max_train_samples"]
    lora_r: int = paper_settings.STRONG["lora_r"]
    lora_alpha: float = paper_settings.STRONG["lora_alpha"]
    lora_dropout: float = paper_settings.STRONG["lora_dropout"]
    lora_target_modules: tuple[str, ...] = paper_settings.STRONG["lora_target_modules"]
    max_steps: int = paper_settings.STRONG["max_steps"]
    learning_rate: float = paper_settings.STRONG["learning_rate"]
    warmup_ratio: float = paper_settings.STRONG["warmup_ratio"]
    batch_size: int = paper_settings.STRONG["batch_size"]
    micro_batch_size: int = 1
    max_length: int = paper_settings.STRONG["max_length"]
    packing: bool = True
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

    def __post_init__(self):
        object.__setattr__(self, "lora_target_modules", tuple(self.lora_target_modules))
        if self.csr_lambda is None:
            object.__setattr__(
                self,
                "csr_lambda",
                paper_settings.CSR_LAMBDA if self.condition == "B4" else 0.0,
            )
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"--micro_batch_size {self.micro_batch_size}: expected a divisor of --batch_size {self.batch_size}"
            )

    @property
    def lora_config(self) -> lora.LoraConfig:
        return lora.LoraConfig(
            self.lora_r, self.lora_alpha, self.lora_dropout, self.lora_target_modules
        )

    @property
    def hyper(self) -> step.TrainConfig:
        return step.TrainConfig(
            self.max_steps,
            self.learning_rate,
            self.warmup_ratio,
            micro_batch_size=self.micro_batch_size,
            csr_every=self.csr_every,
        )

    @property
    def mixture(self) -> mix.Mixture | None:
        return mix.condition_mixture(self.condition, self.curriculum_steps)

    @property
    def csr(self) -> penalty.CsrConfig | None:
        """The penalty's settings, None without one."""
        return (
            penalty.CsrConfig(
                self.csr_lambda, self.csr_target, self.csr_variance, self.csr_centred
            )
            if self.csr_lambda
            else None
        )

    @property
    def name(self) -> str:
        """The run's folder below a study's: model/condition-intervention-seed, then what else sets runs of a study apart."""
        model = pathlib.Path(self.model).name.lower()
        if self.condition == "B0":
            return f"{model}/B0"
        weight = (
            f"-lambda{self.csr_lambda:g}"
            if self.condition == "B4" or self.csr_lambda
            else ""
        )
        origin = f"-from-{_origin(self.adapter)}" if self.adapter else ""
        return f"{model}/{self.condition}-{self.intervention}-seed{self.seed}{weight}{origin}"

    def to_json(self) -> dict:
        return dataclasses.asdict(self) | {
            "lora_target_modules": list(self.lora_target_modules)
        }


def run_from_json(found: dict) -> RunSpec:
    """The `RunSpec` of a `to_json`, fields it lacks at their defaults; ValueError naming a field that is none of `RunSpec`'s."""
    found = schema.upgrade_run_settings(found)
    unknown = sorted(set(found) - {f.name for f in dataclasses.fields(RunSpec)})
    if unknown:
        raise ValueError(
            f"run setting {unknown[0]!r}: expected one of {', '.join(f.name for f in dataclasses.fields(RunSpec))}"
        )
    return RunSpec(**found)


def _origin(start: str) -> str:
    path = pathlib.Path(start)
    return re.sub(
        r"[^\w.-]+", "-", path.parent.name if path.name == "adapter" else path.name
    )


def differences(run: RunSpec, other: RunSpec) -> list[tuple[str, object, object]]:
    """(field, value, other's value) of every field in which the two differ."""
    pairs = (
        (f.name, getattr(run, f.name), getattr(other, f.name))
        for f in dataclasses.fields(RunSpec)
    )
    return [(name, a, b) for name, a, b in pairs if a != b]

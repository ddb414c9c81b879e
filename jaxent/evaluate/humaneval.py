"""HumanEval+: problems, prompts, stop strings and the two files of samples, as evalplus 0.3.1 has them.

    samples.raw.jsonl   {"task_id", "solution"}: prompt and completion cut at a stop; appended as generation goes
    samples.jsonl       the same through evalplus's sanitize, in the order of the problems; what is scored

Never imports jax, and evalplus only inside functions: it takes seconds to import.
"""

import collections
import dataclasses
import gzip
import hashlib
import json
import os
import pathlib

GENERAL_STOPS = (
    "<|endoftext|>",
    "<|endofmask|>",
    "</s>",
    "\nif __name__",
    "\ndef main(",
    "\nprint(",
)
STOPS = (*GENERAL_STOPS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
"""evalplus's six general stop strings and its five for HumanEval (direct completion)."""

TASKS = 164
EMBEDDED = pathlib.Path(__file__).parents[1] / "data" / "embedded" / "problems.jsonl"
"""Eight small problems of this project's own in the same form, for trying things out without a download."""

RAW, SANITIZED, IDENTITY = "samples.raw.jsonl", "samples.jsonl", "samples.identity.json"
_VERSIONS = {"fe585eb4df8c88d844eeb463ea4d0302": "v0.1.10"}
_LONGEST = 10000  # evalplus cuts a completion without a stop here, in characters


@dataclasses.dataclass(frozen=True)
class Problem:
    """One task; `prompt` is what the model reads, `canonical` the reference completion of it."""

    task_id: str
    prompt: str
    entry_point: str
    canonical: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Problems:
    """Tasks in order, and the JSONL they came from: `content` is exactly what is scored, `md5` its hash."""

    items: tuple[Problem, ...]
    content: bytes = dataclasses.field(repr=False)
    version: str

    @property
    def md5(self) -> str:
        """evalplus's name for a data set, and for its file of expected outputs."""
        return hashlib.md5(self.content).hexdigest()

    @property
    def subset(self) -> str:
        """Empty for all of HumanEval+, else what every output of a part of it, or of other problems, has to say."""
        if strangers := sum(not p.task_id.startswith("HumanEval/") for p in self.items):
            return f"subset: {strangers} problems that are not HumanEval's"
        return (
            ""
            if len(self.items) == TASKS
            else f"subset: {len(self.items)} of {TASKS} problems"
        )


@dataclasses.dataclass(frozen=True)
class Sample:
    """One solution, prompt included."""

    task_id: str
    solution: str


def load_problems(
    file: str | os.PathLike | None = None, limit: int | None = None
) -> Problems:
    """The problems of a HumanEvalPlus JSONL (.gz too), the first `limit` of them.

    Without a file: HUMANEVAL_OVERRIDE_PATH if it is set, else what evalplus downloads to its cache.
    """
    path = pathlib.Path(
        file or os.environ.get("HUMANEVAL_OVERRIDE_PATH") or _downloaded()
    )
    if not path.is_file():
        raise FileNotFoundError(
            f"HumanEval+ {path}: no such file, expected HumanEvalPlus.jsonl"
        )
    content = (
        gzip.decompress(path.read_bytes())
        if path.suffix == ".gz"
        else path.read_bytes()
    )
    version = _VERSIONS.get(hashlib.md5(content).hexdigest(), "unknown")
    lines = [line for line in content.splitlines(keepends=True) if line.strip()]
    if limit is not None and not 1 <= limit <= len(lines):
        raise ValueError(
            f"HumanEval+ {path}: limit {limit}, expected 1 to {len(lines)}"
        )
    if limit is not None and limit < len(lines):
        lines = lines[:limit]
        content = b"".join(lines)
    return Problems(tuple(_problem(line, path) for line in lines), content, version)


def _downloaded() -> str:
    import evalplus.data.humaneval as data

    return data._ready_human_eval_plus_path()


def _problem(line: bytes, path) -> Problem:
    raw = json.loads(line)
    if missing := {
        "task_id",
        "prompt",
        "entry_point",
        "canonical_solution",
        "plus_input",
    } - set(raw):
        raise ValueError(
            f"HumanEval+ {path}: {raw.get('task_id')} lacks {sorted(missing)}, expected EvalPlus's file"
        )
    return Problem(
        raw["task_id"],
        raw["prompt"].strip() + "\n",
        raw["entry_point"],
        raw["canonical_solution"],
    )


def cut_at_stops(text: str, stops: tuple[str, ...] = STOPS) -> str:
    """A completion up to the first stop string, tabs as four spaces."""
    ends = [text.index(stop) for stop in stops if stop in text]
    return text[: min([*ends, _LONGEST])].replace("\t", "    ")


def finish_sample(problem: Problem, completion: str) -> Sample:
    """The raw sample: prompt and cut completion."""
    return Sample(problem.task_id, problem.prompt + cut_at_stops(completion))


def sanitize(problem: Problem, sample: Sample) -> Sample:
    """evalplus's sanitize: the longest run of lines that parses, its imports and what the entry point needs.

    Text on which the parsers themselves fail (a sum of 1200 terms, a null byte in older Pythons), where
    evalplus 0.3.1 ends the whole run, is kept as it is.
    """
    import evalplus.sanitize

    try:
        return Sample(
            sample.task_id,
            evalplus.sanitize.sanitize(sample.solution, problem.entry_point),
        )
    except (ValueError, RecursionError):
        return sample


def resume(folder: str | os.PathLike, identity: dict) -> list[Sample]:
    """Raw samples an earlier, killed run left in `folder`; a last half line is dropped from the file.

    `identity` (model, adapter, data, precision, length: what a sample depends on) is written at the first
    call; a later one that differs raises ValueError, so that no file mixes two models.
    """
    folder = pathlib.Path(folder)
    identity = json.loads(json.dumps(identity))
    if (folder / IDENTITY).is_file():
        found = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
        for key in sorted(found.keys() | identity.keys()):
            if found.get(key) != identity.get(key):
                raise ValueError(
                    f"{folder / RAW}: made with {key} {found.get(key)!r}, expected {identity.get(key)!r}"
                )
    elif (folder / RAW).is_file():
        raise ValueError(
            f"{folder / RAW}: samples without {IDENTITY}, expected both or neither"
        )
    else:
        write(folder / IDENTITY, json.dumps(identity, indent=1) + "\n")
    return _whole_lines(folder / RAW)


def _whole_lines(path: pathlib.Path) -> list[Sample]:
    """Reads a file of samples after cutting off what follows its last line break."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return read_samples(path)


def read_samples(path: str | os.PathLike) -> list[Sample]:
    """Samples of a JSONL file; ValueError naming a line that is none."""
    samples = []
    lines = pathlib.Path(path).read_bytes().decode().split("\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                raw = json.loads(line)
                samples.append(Sample(raw["task_id"], raw["solution"]))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number}: {line[:60]!r}, expected a task_id and a solution"
                ) from error
    return samples


def missing_samples(
    problems: Problems, samples: list[Sample], n: int = 1
) -> list[tuple[Problem, int]]:
    """What is left to generate: problems and how many samples each still lacks."""
    have = collections.Counter(s.task_id for s in samples)
    return [(p, n - have[p.task_id]) for p in problems.items if have[p.task_id] < n]


def append_samples(
    folder: str | os.PathLike, problems: Problems, samples: list[Sample]
) -> None:
    """Adds raw samples and waits until they are on disk."""
    path = pathlib.Path(folder) / RAW
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.writelines(_line(problems, sample) for sample in samples)
        file.flush()
        os.fsync(file.fileno())


def write_sanitized(folder: str | os.PathLike, problems: Problems) -> list[Sample]:
    """Makes samples.jsonl of samples.raw.jsonl, in the order of the problems."""
    folder = pathlib.Path(folder)
    raw = collections.defaultdict(list)
    for sample in read_samples(folder / RAW):
        raw[sample.task_id].append(sample)
    samples = [sanitize(p, sample) for p in problems.items for sample in raw[p.task_id]]
    write(folder / SANITIZED, "".join(_line(problems, sample) for sample in samples))
    return samples


def _line(problems: Problems, sample: Sample) -> str:
    mark = {"subset": problems.subset} if problems.subset else {}
    return json.dumps(dataclasses.asdict(sample) | mark) + "\n"


def write(path: pathlib.Path, text: str) -> None:
    """Writes a text file under a temporary name and renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)

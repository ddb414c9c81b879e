"""What every script's command line shares: --help in groups, and answers to slips.

A script defines its flags, calls `parse`, and only then imports what takes seconds:

    flags.DEFINE_integer("max_steps", 5000, "optimizer steps")
    command.parse(__name__, __doc__)

    from jaxent.runs import execute

    if __name__ == "__main__":
        command.run(main)

This module imports nothing heavy, so that --help answers at once.
"""

import difflib
import pathlib
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags, logging

from jaxent import compile_cache, json_files

FOREIGN = {
    "lr": "use --learning_rate",
    "per_device_train_batch_size": (
        "use --batch_size (examples an optimizer step) and --micro_batch_size "
        "(packed rows run at a time)"
    ),
    "train_batch_size": "use --batch_size (examples an optimizer step)",
    "bs": "use --batch_size (examples an optimizer step)",
    "gradient_accumulation_steps": (
        "use --batch_size for the examples of an optimizer step; --micro_batch_size "
        "says how many rows run at a time"
    ),
    "num_train_epochs": "a run is counted in steps: use --max_steps",
    "epochs": "a run is counted in steps: use --max_steps",
    "model_name_or_path": "use --model",
    "pretrained_model_name_or_path": "use --model",
    "load_in_8bit": (
        "weights are 4-bit NF4 (--load_in_4bit, the default) or the checkpoint's own "
        "(--noload_in_4bit)"
    ),
    "lora_rank": "use --lora_r",
    "rank": "use --lora_r",
    "r": "use --lora_r",
    "alpha": "use --lora_alpha (LoRA) or --ridge_alpha (the probes' ridge)",
    "target_modules": "use --lora_target_modules",
    "greedy": "decoding is greedy unless --temperature is above 0",
    "do_sample": "decoding samples when --temperature is above 0",
    "temperature": "only scripts that generate text have it (generate, evaluate)",
    "max_new": "use --max_new_tokens",
    "max_seq_length": "use --max_length",
    "max_seq_len": "use --max_length",
    "humaneval": "use --problems=HumanEvalPlus.jsonl",
    "force_base_prompt": "use --prompt_format=raw, the default",
    "bf16": "use --dtype=bfloat16",
    "fp16": "use --dtype=bfloat16 or --dtype=float32: float16 is not supported",
    "out": "use --output_dir",
    "output": "use --output_dir",
    "repo_id": "use --push_to_hub",
    "hub_model_id": "use --push_to_hub",
    "hub_private_repo": "use --private",
    "lora_model_dir": "use --adapter",
    "adapter_name_or_path": "use --adapter",
    "export_dir": "use --output_dir",
    "save_dir": "use --output_dir",
    "export_size": "use --max_shard_size, such as 5GB",
    "resume_from_checkpoint": "use --resume: it finds the newest checkpoint itself",
    "save_every": "use --save_steps",
    "eval_every": "use --eval_steps (held-out loss) or --measure_steps",
    "logging_steps": "every step is logged in metrics.jsonl",
    "quantize": "use --load_in_4bit",
    "gpus": "all devices are used; --mesh says how (data, fsdp, tensor, seed)",
    "device": "JAX_PLATFORMS=cpu, cuda or tpu in the environment chooses the device",
}
"""Flags of other tools, or of other scripts, and what to use here."""

GROUPS = {
    "model": (
        "model models revision adapter load_in_4bit dtype weights preset compared base "
        "merge spec"
    ),
    "data": (
        "condition conditions data_root dataset dataset_revision domain mixture "
        "text_column prompt_column completion_column messages_column loss_on streaming "
        "max_train_samples max_length packing curriculum_steps companions target "
        "benchmark problems limit prompt prompt_format"
    ),
    "LoRA": (
        "tuner lora_r lora_alpha lora_dropout lora_target_modules intervention "
        "interventions"
    ),
    "optimisation": (
        "max_steps learning_rate warmup_ratio batch_size micro_batch_size remat "
        "decode_base seed seeds seed_mode further then"
    ),
    "measurement": (
        "probes probe_sets measure_steps eval_steps eval_share max_eval_samples layers "
        "pooling final_norm ridge_alpha scale_free rho drift_target drift_variance "
        "draws real dimensions"
    ),
    "CSR": (
        "csr_lambda csr_every csr_variance csr_target csr_centred csr_probes lambdas"
    ),
    "decoding and scoring": (
        "generate likelihood max_new_tokens temperature top_p n_samples score "
        "min_time_limit gt_time_limit_factor allow_unsandboxed"
    ),
    "devices": "mesh topology topologies compiler_effort",
    "output": (
        "output_dir output_file save_steps resume dry_run teraflops title runs "
        "max_shard_size push_to_hub private base_model_id"
    ),
}
"""Group of --help to its flags; a script's other flags come under its own name."""

_BUILT_IN = ("help", "helpshort", "helpfull", "helpxml")
_INDENT = " " * 6


def parse(name: str, doc: str | None, argv: Sequence[str] | None = None) -> None:
    """Parses the command line of the script that is being run, or answers and exits.

    Args:
        name: the caller's `__name__`; nothing happens unless it is "__main__", so that
            a script can be imported.
        doc: the script's docstring, which --help prints first.
        argv: the command line, script first (default: `sys.argv`).

    Raises:
        SystemExit: with status 0 after --help, with a line that says what to write
            instead for a foreign or misspelt flag, a wrong value or a stray word.
    """
    if name != "__main__":
        return
    argv = list(sys.argv if argv is None else argv)
    script = pathlib.Path(argv[0]).stem
    words = [_with_underscores(word) for word in argv[1:]]
    names = _known_names(flags.FLAGS)
    for word in words:
        given = _flag_name(word)
        if given in _BUILT_IN:
            print(help_text(script, doc or "", flags.FLAGS))
            sys.exit(0)
        if given is not None and given not in names:
            sys.exit(
                f"{script}: --{given} is no flag here: {_suggestion(given, names)}"
            )
    try:
        rest = flags.FLAGS([argv[0], *words])
    except flags.Error as error:
        sys.exit(f"{script}: {' '.join(str(error).split())}")
    if rest[1:]:
        sys.exit(
            f"{script}: found {rest[1]!r} beside the flags, expected flags only, as "
            "--name=value"
        )
    _refuse_both(script, "seed", "seeds")
    compile_cache.keep_programs()
    logging.set_verbosity(logging.WARNING)


def run(main: Callable[[], None]) -> None:
    """Runs a script's main function after `parse`.

    An interruption ends in one line, and so does a damaged file wherever it is met.
    """
    try:
        main()
    except json_files.FileError as error:
        sys.exit(f"{pathlib.Path(sys.argv[0]).stem}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def help_text(script: str, doc: str, values: flags.FlagValues) -> str:
    """The text of --help: the docstring, then the script's own flags in groups."""
    by_group: dict[str, list[flags.Flag]] = {}
    group_of = {n: group for group, names in GROUPS.items() for n in names.split()}
    for flag in _own_flags(values):
        by_group.setdefault(group_of.get(flag.name, script), []).append(flag)
    parts = [doc.strip()]
    for group in [*GROUPS, script]:
        if group in by_group:
            lines = [_describe(flag) for flag in by_group[group]]
            parts.append("\n".join([f"{group}:", *lines]))
    return "\n\n".join(parts)


def _own_flags(values: flags.FlagValues) -> list[flags.Flag]:
    """Flags that scripts and this package define, in order, aliases left out."""
    found: dict[str, flags.Flag] = {}
    for module, members in values.flags_by_module_dict().items():
        if not module.startswith("absl"):
            found |= {flag.name: flag for flag in members if not _is_alias(flag)}
    return list(found.values())


def _is_alias(flag: flags.Flag) -> bool:
    return type(flag).__name__ == "_FlagAlias"


def _describe(flag: flags.Flag) -> str:
    """One flag of --help: name, choices, default and what it does."""
    choices = getattr(flag.parser, "enum_values", None)
    head = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    if choices:
        head += "=" + "|".join(choices)
    default = flag.default_unparsed
    if isinstance(default, list | tuple):
        default = ",".join(map(str, default))
    shown = "" if default is None or flag.boolean and not default else str(default)
    text = flag.help or ""
    if choices:  # absl has put them before the text already
        text = text.partition(">: ")[2] or text
    text += f" (default: {shown})" if shown else ""
    body = textwrap.fill(text, 88, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return f"  {head}\n{body}"


def _with_underscores(word: str) -> str:
    """--max-steps=3 as --max_steps=3; other words unchanged."""
    name, equals, value = word.partition("=")
    if not name.startswith("--"):
        return word
    return "--" + name[2:].replace("-", "_") + equals + value


def _flag_name(word: str) -> str | None:
    """The name in --name or --name=value; None for anything else."""
    if not word.startswith("-") or word in ("-", "--"):
        return None
    name = word.lstrip("-").partition("=")[0]
    return name if name and not name[0].isdigit() and name[0] != "." else None


def _known_names(values: flags.FlagValues) -> set[str]:
    """Every name that the parser takes, "no" forms of booleans included."""
    names = set(values)
    return names | {f"no{name}" for name in names if values[name].boolean}


def _suggestion(given: str, names: set[str]) -> str:
    """What to write instead of a flag that a script does not have."""
    bare = given.removeprefix("no")
    for name in (given, bare):
        if name in FOREIGN:
            return FOREIGN[name]
    own = sorted(n for n in names if not n.startswith("no"))
    close = difflib.get_close_matches(bare, own, n=1, cutoff=0.6)
    return f"did you mean --{close[0]}?" if close else "see --help"


def _refuse_both(script: str, one: str, other: str) -> None:
    """Exits where two flags that mean the same are both given."""
    values = flags.FLAGS
    if all(name in values and values[name].present for name in (one, other)):
        sys.exit(f"{script}: --{one} beside --{other}: expected one of them")

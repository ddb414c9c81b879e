r"""Exports a run's adapter merged into its base model, or alone, and pushes it.

    python scripts/export.py --adapter=runs/b3 --output_dir=merged
    python scripts/export.py --adapter=runs/b3 --output_dir=merged --dtype=bfloat16 \
        --max_shard_size=2GB --push_to_hub=me/my-model --private
    python scripts/export.py --adapter=runs/b3 --nomerge --output_dir=adapter \
        --push_to_hub=me/my-adapter

--output_dir becomes a Hugging Face folder that transformers loads: safetensors (in
shards, with their index), config.json, tokenizer and chat template, and
generation_config.json of the base, and a model card made from the run: base and
revision, recipe, data, CSR, measures before and after with their intervals, code. The
tensors are those of PEFT's merge_and_unload. With --nomerge it is the adapter in PEFT's
format, with the card.

--base=original adds the adapter to the base's own weights, also where training saw
their 4-bit values; --base=dequantised adds it to those values. docs/export.md says when
to take which.
"""

import pathlib
import sys

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "adapter", None, "run folder; or an adapter's folder or Hub id, in PEFT's format"
)
flags.DEFINE_string(
    "model", None, "base checkpoint: folder or Hub id (default: the recorded one)"
)
flags.DEFINE_string(
    "revision", None, "branch, tag or commit of --model (default: the run's)"
)
flags.DEFINE_string("output_dir", None, "new folder for the export")
flags.DEFINE_bool("merge", True, "merge the adapter into its base; otherwise alone")
flags.DEFINE_enum(
    "base",
    "original",
    ["original", "dequantised"],
    "weights that the adapter is added to: the base's own, or their NF4 values",
)
flags.DEFINE_enum(
    "dtype",
    "auto",
    ["auto", "float32", "fp32", "bfloat16", "bf16", "float16"],
    "of the merged tensors; auto is that of each tensor of the base",
)
flags.DEFINE_string("max_shard_size", "5GB", "the most that one file of tensors holds")
flags.DEFINE_string("push_to_hub", None, "owner/name of a repository to upload to")
flags.DEFINE_bool(
    "private", False, "the repository is private; one that is public is refused"
)
flags.DEFINE_string(
    "base_model_id", None, "Hub id of the base, where the run used a folder"
)
flags.DEFINE_bool("dry_run", False, "check all, print what would be written, and stop")
command.parse(__name__, __doc__)

import jax.numpy as jnp

from jaxent.checkpoint import merge, model_files
from jaxent.runs import export, hub, model_card

_DTYPES = {
    "auto": None,
    "float32": jnp.float32,
    "fp32": jnp.float32,
    "bfloat16": jnp.bfloat16,
    "bf16": jnp.bfloat16,
    "float16": jnp.float16,
}


def check_flags() -> None:
    """Raises ValueError for flags that are missing or do not go together."""
    for name in ("adapter", "output_dir"):
        if not FLAGS[name].value:
            raise ValueError(f"--{name} is missing")
    merge.check_shard_size(FLAGS.max_shard_size)
    for name in ("push_to_hub", "base_model_id"):
        if FLAGS[name].value is not None:
            try:
                hub.check_repo_id(FLAGS[name].value)
            except ValueError as error:
                raise ValueError(f"--{name} {error}") from error
    if FLAGS.private and not FLAGS.push_to_hub:
        raise ValueError("--private without --push_to_hub: expected both or neither")
    if not FLAGS.merge:
        for name in ("base", "dtype", "max_shard_size"):
            if FLAGS[name].present:
                raise ValueError(
                    f"--{name} with --nomerge: expected it only where weights are "
                    "merged"
                )


def format_plan(source: export.Source, plan: merge.Merge | None) -> str:
    """What is written and where it goes."""
    what = "model" if source.is_full else "adapter"
    lines = [f"{what:<8} {source.adapter}", f"base     {source.model}"]
    if plan is None:
        lines.append(f"writes   the adapter to {FLAGS.output_dir}")
    else:
        files = model_files.list_files(plan.folder.path, source.adapter)
        size = merge.total_bytes(plan) / 1e9
        shard = FLAGS.max_shard_size
        lines.append(
            f"writes   {size:.3g} GB of tensors, at most {shard} a file, to "
            f"{FLAGS.output_dir}"
        )
        lines.append(f"beside   {', '.join(['config.json', *files, model_card.FILE])}")
    if FLAGS.push_to_hub:
        kind = "private " if FLAGS.private else ""
        lines.append(f"pushes   to the {kind}repository {FLAGS.push_to_hub}")
    return "\n".join(lines)


def prepare() -> tuple[export.Source, merge.Merge | None]:
    """Checks flags, files and the output folder; nothing is written yet."""
    check_flags()
    source = export.open_source(FLAGS.adapter, FLAGS.model, FLAGS.revision)
    plan = None
    if FLAGS.merge:
        plan = export.plan_merge(source, FLAGS.base, _DTYPES[FLAGS.dtype])
    elif source.is_full:
        raise ValueError(
            f"--nomerge: {source.adapter} is a whole model, expected an adapter's run"
        )
    elif FLAGS.push_to_hub:
        export.check_base_name(source, FLAGS.base_model_id)
    size = merge.total_bytes(plan) if plan else 0
    export.check_output(pathlib.Path(FLAGS.output_dir), size)
    return source, plan


def main() -> None:
    """Checks everything, then writes, then pushes."""
    try:
        source, plan = prepare()
        print(format_plan(source, plan), flush=True)
        if FLAGS.dry_run:
            return
        if FLAGS.push_to_hub:
            hub.open_repository(FLAGS.push_to_hub, FLAGS.private)
        out = pathlib.Path(FLAGS.output_dir)
        if plan is None:
            export.write_adapter(source, out, FLAGS.base_model_id)
        else:
            size, base_id = FLAGS.max_shard_size, FLAGS.base_model_id
            export.write_merged(source, plan, out, size, base_id)
        print(f"\nExport: {out}", flush=True)
        if FLAGS.push_to_hub:
            replaced = hub.MERGED_WEIGHTS if FLAGS.merge else hub.ADAPTER_WEIGHTS
            what = "merged model" if FLAGS.merge else "adapter"
            message = f"Upload the {what} with jaxent"
            print(hub.upload(out, FLAGS.push_to_hub, message, replaced))
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"export: {error}")


if __name__ == "__main__":
    command.run(main)

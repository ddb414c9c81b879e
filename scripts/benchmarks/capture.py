"""Activations of the probes, beside transformers' forward pass by length."""

import functools
import pathlib
from collections.abc import Iterator

from benchmarks import cases, decode, flops, pairs, peers
from jaxent.checkpoint import hf, real_model
from jaxent.data import probes, tokens
from jaxent.measure import capture
from jaxent.model import transformer


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """Dense weights and NF4; none without a real model."""
    if not settings.model:
        return
    sets = 1 if settings.quick else None
    count = len(probes.load_probes("triad", sets).probes)
    title = pathlib.Path(settings.model).name
    for quantized in (False,) if settings.quick else (False, True):
        weights = "NF4" if quantized else "float32"
        name = f"{title}, {count} probes, {weights}"
        make = functools.partial(_make, settings.model, sets, quantized)
        packages = ("bitsandbytes", "accelerate") if quantized else ()
        yield cases.Case("capture", name, "transformers", make, packages)


def _make(
    source: str, sets: int | None, quantized: bool, with_peer: bool
) -> pairs.Workload:
    folder = real_model.resolve(source)
    texts = probes.load_probes("triad", sets).texts
    examples = tokens.load_tokenizer(folder).encode(texts)
    compute = transformer.default_compute("float32")
    model = hf.load(folder) if quantized else decode.our_dense(folder).model
    size = transformer.default_pass_tokens()
    theirs = {}
    if with_peer:
        if quantized:
            peer = peers.load_nf4(folder).eval()
        else:
            peer = decode.their_dense(folder)
        theirs["forward, by length"] = functools.partial(
            peers.mean_states, peer, examples, size
        )
    return pairs.Workload(
        unit="tokens",
        amount=sum(map(len, examples)),
        ours=functools.partial(capture.capture, model, examples, compute=compute),
        theirs=theirs,
        flops=flops.forward_flops(model.config, map(len, examples), 0),
        remark="capture: last hidden states pooled over each text; transformers runs "
        f"batches of like length, {size} padded tokens at most",
    )

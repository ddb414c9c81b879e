"""Eight devices give what one device gives, and arrays are split by the rules.

What is compared: activations, loss, gradient, step and penalty.
"""

import dataclasses
import functools
import math
import re

import check_equivalence
import equivalence
import families
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from train import test_step

from jaxent.arrays import lora, nf4
from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.decode import loop as decoding
from jaxent.distributed import axes
from jaxent.measure import capture, penalty
from jaxent.model import blocks, config, sharding, transformer
from jaxent.train import gradient, loop
from jaxent.train import step as steps

SPEC = lora.LoraConfig(4, 12.0, 0.2)
HYPER = steps.TrainConfig(
    steps=10, learning_rate=1e-2, warmup_ratio=0.0, micro_batch_size=8, csr_every=2
)


def _slow(text):
    return pytest.param(text, marks=pytest.mark.slow)


def on(text):
    """(the mesh of a text over the first devices, arithmetic on it)."""
    sizes = axes.parse_axis_sizes(text)
    mesh = axes.create_mesh(sizes, jax.devices()[: math.prod(sizes.values())])
    return mesh, transformer.ComputeConfig(mesh=mesh)


def fits(model, mesh) -> bool:
    try:
        sharding.check_mesh(model, mesh)
    except ValueError:
        return False
    return True


def two_steps(model, adapter, reference, compute):
    """State and metrics after two steps, the second with the penalty.

    One row runs at a time on one device, eight on a mesh.
    """
    mesh = compute.mesh
    step = steps.jit_train_step(
        HYPER if mesh else dataclasses.replace(HYPER, micro_batch_size=1), compute
    )
    state = steps.init_state(jax.tree.map(jnp.copy, adapter), HYPER)
    if mesh is not None:
        state = jax.device_put(state, steps.state_shardings(state, HYPER, mesh))
    for seed in range(2):
        batch, rows = batches.pad(test_step.examples(seed=seed), 64, 16)
        state, metrics = step(
            state,
            model,
            steps.shard_batch(batch, 8 if mesh else 1, mesh),
            rows,
            jax.random.key(1),
            reference,
        )
    return state, metrics


def tree_bytes(tree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def close(result, expected, bound=2e-5):
    assert (
        equivalence.tree_relative(
            axes.to_host(result).params, axes.to_host(expected).params
        )
        < bound
    )


@pytest.fixture(scope="module", params=families.marked(("qwen2_tied",)))
def alone(request, tmp_path_factory):
    """A family's model and what one device gives; dense, so that small widths split."""
    model = hf.load(
        families.write(request.param, tmp_path_factory.mktemp(request.param)),
        quantize=False,
    )
    adapter = check_equivalence.random_adapter(model.config, SPEC, 3)
    probes = [e.tolist() for e in test_step.examples(24, seed=9)]
    domains = ["code", "math"] * 12
    reference = penalty.make_reference(
        model, probes, domains, penalty.CsrConfig(0.1), 512
    )
    return (
        model,
        adapter,
        probes,
        domains,
        capture.capture(model, probes, adapter),
        two_steps(model, adapter, reference, transformer.ComputeConfig()),
    )


@pytest.mark.parametrize(
    "text", ["data:2,fsdp:2,tensor:2", *map(_slow, ("data:8", "fsdp:4", "tensor:2"))]
)
def test_a_mesh_gives_what_one_device_gives(alone, text):
    """Activations, and two training steps: metrics, state and its shardings."""
    model, adapter, probes, domains, activations, (state, metrics) = alone
    mesh, compute = on(text)
    if not fits(model, mesh):
        assert model.config.kv_heads == 1 and "tensor:2" in text
        mesh, compute = on("data:2,fsdp:4")
    sharded, factors = (
        sharding.shard_model(model, mesh),
        sharding.shard_adapter(adapter, mesh),
    )
    np.testing.assert_allclose(
        capture.capture(sharded, probes, factors, compute=compute),
        activations,
        atol=1e-4,
        rtol=1e-4,
    )
    reference = penalty.make_reference(
        sharded, probes, domains, penalty.CsrConfig(0.1), 128, compute
    )
    penalty.check_gradient(sharded, factors, reference, compute)
    result, numbers = two_steps(sharded, factors, reference, compute)
    for name in ("loss", "grad_norm", "csr", "csr_ratio"):
        np.testing.assert_allclose(
            getattr(numbers, name), getattr(metrics, name), rtol=1e-4
        )
    close(result.adapter, state.adapter, 1e-3)
    wanted = steps.state_shardings(result, HYPER, mesh)
    assert jax.tree.all(
        jax.tree.map(
            lambda x, s: x.sharding.is_equivalent_to(s, x.ndim), result, wanted
        )
    )


@pytest.mark.parametrize("text", ["data:8", "fsdp:4", "tensor:2"])
def test_pure_meshes_give_the_activations_and_tokens_of_one_device(alone, text):
    """Forward by capture, and greedy decoding of a ragged batch.

    The cache is split by rows and heads.
    """
    model, adapter, probes, _, activations, _ = alone
    mesh, compute = on(text)
    if not fits(model, mesh):
        assert model.config.kv_heads == 1 and text == "tensor:2"
        return
    sharded, factors = (
        sharding.shard_model(model, mesh),
        sharding.shard_adapter(adapter, mesh),
    )
    np.testing.assert_allclose(
        capture.capture(sharded, probes, factors, compute=compute),
        activations,
        atol=1e-4,
        rtol=1e-4,
    )

    def complete(*runner):
        request = decoding.Request(8, chunk=4)
        return decoding.complete(decoding.Runner(*runner), probes[:4], request)

    assert complete(sharded, factors, compute) == complete(model, adapter)


@pytest.fixture(scope="module")
def wide() -> transformer.Transformer:
    """A quantised model whose every axis splits in two and in four.

    Its weights split between blocks of 64.
    """
    raw = {
        "model_type": "qwen2",
        "vocab_size": 160,
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    }
    model = transformer.Transformer(config.from_dict(raw), nnx.Rngs(0))
    for row in hf.tensor_table(model.config):
        if row.linear:
            param = functools.reduce(getattr, row.path.split("."), model)
            packed = [
                nf4.repack(nf4.encode(np.asarray(w).T)) for w in param.get_value()
            ]
            param.set_value(jax.tree.map(lambda *x: jnp.stack(x), *packed))
    return model


def test_under_fsdp_the_codes_are_gathered_and_not_the_decoded_weights(wide):
    mesh, compute = on("fsdp:4,tensor:2")
    compute = dataclasses.replace(compute, dtype=jnp.bfloat16)
    model = sharding.shard_model(wide, mesh)
    state = steps.init_state(
        sharding.shard_adapter(
            check_equivalence.random_adapter(model.config, SPEC, 3), mesh
        ),
        HYPER,
    )
    batch, rows = batches.pad(test_step.examples(), 64, 16)
    lowered = steps.jit_train_step(HYPER, compute).lower(
        state, model, steps.shard_batch(batch, 8, mesh), rows, jax.random.key(1)
    )
    text = lowered.compile().as_text()
    gathers = [
        (kind, math.prod(map(int, shape.split(","))))
        for kind, shape in re.findall(r"= (\w+)\[([\d,]+)\]\S* all-gather\(", text)
    ]
    assert len(gathers) == text.count(" all-gather(") and "all-gather-start" not in text
    shares = [
        k * n // 2 for k, n in blocks.linear_shapes(model.config).values()
    ]  # of a weight, on a tensor rank
    assert {size for kind, size in gathers if kind == "u8"} == {
        share // 2 for share in shares
    }
    assert all(size < min(shares) for kind, size in gathers if kind != "u8"), gathers


def wide_gradient(wide, compute=transformer.ComputeConfig()):
    """`gradient.step_gradient` of the quantised model with dropout on.

    One row runs at a time on one device, eight on a mesh.
    """
    adapter, (batch, rows) = (
        check_equivalence.random_adapter(wide.config, SPEC, 3),
        batches.pad(test_step.examples(), 64, 16),
    )
    if mesh := compute.mesh:
        wide = sharding.shard_model(wide, mesh)
        adapter = sharding.shard_adapter(adapter, mesh)
    batch = steps.shard_batch(batch, 8 if mesh else 1, mesh)
    run = jax.jit(functools.partial(gradient.step_gradient, compute=compute))
    return run(wide, adapter, batch, rows, jax.random.key(1))


@pytest.fixture(scope="module")
def on_one_device(wide):
    return wide_gradient(wide)


@pytest.mark.parametrize(
    "text",
    [
        _slow("data:8"),
        "fsdp:4",
        "tensor:4",
        _slow("fsdp:4,tensor:2"),
        _slow("data:4,tensor:2"),
    ],
)
def test_pure_and_mixed_meshes_give_the_gradient_of_one_device(
    wide, on_one_device, text
):
    mesh, compute = on(text)
    loss, gradient, _ = wide_gradient(wide, compute)
    np.testing.assert_allclose(loss, on_one_device[0], rtol=1e-5)
    close(gradient, on_one_device[1], 1e-4)
    for path, wanted in sharding.adapter_shardings(gradient, mesh).params.items():
        assert gradient.params[path].a.sharding.is_equivalent_to(wanted.a, 3)


def assert_one_base(traced, step, arguments):
    """A vmapped step decodes each weight once, and takes no second copy of them."""
    model = arguments[1]
    decoded = set(
        re.findall(r"f32\[([\d,]*)\] = bitcast_convert_type", str(traced.jaxpr))
    )
    assert decoded and all(
        shape.split(",")[-2:-1] == ["32"] and len(shape.split(",")) == 3
        for shape in decoded
    ), decoded
    size = step.memory_analysis().argument_size_in_bytes
    assert size == tree_bytes(arguments) < 2 * tree_bytes(model)


@pytest.mark.parametrize("text", [None, _slow("seed:2,fsdp:2,tensor:2")])
def test_seeds_share_one_base_and_equal_each_alone(wide, text):
    """A step of two seeds with dropout and the penalty, two modules adapted."""
    mesh, compute = on(text) if text else (None, transformer.ComputeConfig())
    lora_config = dataclasses.replace(SPEC, modules=("q_proj", "down_proj"))
    plan = loop.LoopConfig(
        dataclasses.replace(HYPER, micro_batch_size=2, csr_every=1),
        lora_config,
        compute,
    )
    model = sharding.shard_model(wide, mesh) if mesh else wide
    adapters = [
        check_equivalence.random_adapter(wide.config, lora_config, seed)
        for seed in range(2)
    ]
    drawn = [batches.pack(test_step.examples(seed=seed), 64, 16) for seed in range(2)]
    rows = np.int32(max(used for _, used in drawn))
    states = [loop.initial_state(model, plan, 0, axes.to_host(a)) for a in adapters]
    joined = batches.Batch(*map(np.stack, zip(*(batch for batch, _ in drawn))))
    keys = jax.random.split(jax.random.key(1), 2)
    probes = [e.tolist() for e in test_step.examples(8, seed=9)]

    def make_reference(model, compute):
        domains, csr = ["code", "math"] * 4, penalty.CsrConfig(0.1)
        return penalty.make_reference(model, probes, domains, csr, 128, compute)

    arguments = (
        loop.stack_seeds(states, plan),
        model,
        steps.shard_batch(joined, 2, mesh, "seed"),
        rows,
        keys,
        make_reference(model, compute),
    )
    traced = steps.jit_train_step_seeds(plan.train_config, compute).trace(*arguments)
    step = traced.lower().compile()
    if mesh is None:
        assert_one_base(traced, step, arguments)
    state, metrics = step(*arguments)
    if mesh is not None:
        assert state.adapter.params["mlp.down_proj"].a.sharding.spec[0] == "seed"
    one_device = dataclasses.replace(plan, compute=transformer.ComputeConfig())
    alone, reference = (
        steps.jit_train_step(plan.train_config, one_device.compute),
        make_reference(wide, one_device.compute),
    )
    for seed, (batch, used) in enumerate(drawn):
        start = loop.initial_state(wide, one_device, 0, axes.to_host(adapters[seed]))
        batch = steps.shard_batch(batch, 2, None)
        expected, numbers = alone(start, wide, batch, used, keys[seed], reference)
        for name in ("loss", "csr", "csr_ratio"):
            np.testing.assert_allclose(
                getattr(metrics, name)[seed], getattr(numbers, name), rtol=1e-4
            )
        result = loop.unstack_seeds(state, plan, 2)[seed]
        # A tenth of the clipped gradient.
        close(result.optimizer[0].mu, expected.optimizer[0].mu)
        # Adam's first step is as long for a gradient that is rounding alone.
        close(result.adapter, expected.adapter, 1e-2)

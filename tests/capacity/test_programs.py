"""Plans from shapes; what libtpu compiles is tested where it is installed (no TPU is needed)."""

import dataclasses
import math
import pathlib
import subprocess
import sys

import pytest

from jaxent.capacity import chips, compiler, hlo_collectives, programs, roofline
from jaxent.model import blocks, known_configs
from jaxent.runs import cost
from jaxent.runs import spec as specs

SEVEN, BIG = "Qwen/Qwen2.5-Coder-7B", "Qwen/Qwen2.5-Coder-32B"

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "plan.py"


def job(
    model: str, topology: str, mesh: str = "none", layers: int | None = None, **settings
) -> programs.Job:
    config = known_configs.find_config(model)
    config = dataclasses.replace(config, layers=layers or config.layers)
    return programs.Job(
        specs.RunSpec(model), config, chips.parse_topology(topology), mesh, **settings
    )


def test_topologies():
    assert [
        (str(t), t.size, t.tpu)
        for t in map(
            chips.parse_topology, ("v5e:4x4", "v5p:2x2x4", "v5e:1x1", "h200:8")
        )
    ] == [
        ("v5e:4x4", 16, True),
        ("v5p:2x2x4", 16, True),
        ("v5e:1x1", 1, True),
        ("h200:8", 8, False),
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("v4:2x2", "expected chip:shape"),
        ("v5e", "expected chip:shape"),
        ("v5e:0x4", "expected chip:shape"),
        ("v5e:4x4x1", "expected 2 for v5e"),
        ("v5p:4x4", "found 2 axes, expected 3"),
        ("h100:2x4", "expected 1 for h100"),
    ],
)
def test_topologies_refused(text, message):
    with pytest.raises(ValueError, match=message):
        chips.parse_topology(text)


TEXT = """HloModule jit_step

%all-reduce-scatter.1 (p: bf16[64,8]) -> bf16[16,8] {
  %all-reduce.9 = bf16[64,8]{1,0} all-reduce(%p), replica_groups={{0,4,8,12},{1,5,9,13},{2,6,10,14},{3,7,11,15}}, to_apply=%add
}

%layers (t: (s32[], u8[8])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(5)
  ROOT %lt.1 = pred[] compare(%get-tuple-element.1, %constant.1), direction=LT
}

%layer (t: (s32[], u8[8])) -> (s32[], u8[8]) {
  %all-gather.1 = u8[1,40,64,256]{3,2,1,0:T(32,128)(4,1)} all-gather(%x), replica_groups=mesh['axis_0'=1,'axis_1'=4] {'axis_1'}
  %ar = (bf16[2,8]{1,0}, /*index=1*/f32[4]{0}) all-reduce(%y, %z), replica_groups=[2,8]<=[4,4]T(1,0), to_apply=%add
  %fusion.1 = bf16[16,8]{1,0} fusion(%w), kind=kCustom, calls=%all-reduce-scatter.1
}

%more (t: (s32[], u8[8])) -> pred[] {
  ROOT %lt.2 = pred[] compare(%get-tuple-element.2, %get-tuple-element.3), direction=LT
}

%micro (t: (s32[], u8[8])) -> (s32[], u8[8]) {
  %while.1 = (s32[], u8[8]) while(%t), condition=%layers, body=%layer, metadata={op_name="while/body"}
  %cp = f32[10]{0} collective-permute(%v), source_target_pairs={{0,1},{1,0}}
}

ENTRY %main (a: u8[8]) -> u8[8] {
  %while.2 = (s32[], u8[8]) while(%a), condition=%more, body=%micro
  %ags = (f32[8]{0}, f32[32]{0}) all-gather-start(%b), replica_groups={{0,1,2,3}}, dimensions={0}
  %agd = f32[32]{0} all-gather-done(%ags)
  %rs = f32[8]{0} reduce-scatter(%c), replica_groups=[1,16]<=[16], to_apply=%add
  %aa = bf16[4,8]{1,0} all-to-all(%d), replica_groups=[4,4]<=[16]
  %while.3 = (s32[], u8[8]) while(%a), condition=%more, body=%last, backend_config={"known_trip_count":{"n":"7"}}
}

%last (t: (s32[], u8[8])) -> (s32[], u8[8]) {
  %aa.2 = bf16[4,8]{1,0} all-to-all(%d), replica_groups=[4,4]<=[16]
}
"""


def test_received_bytes_by_hand():
    found = hlo_collectives.received_bytes(TEXT, loops=3, devices=16)
    assert found == {
        "all-gather": 3 * 5 * 40 * 64 * 256 * 3 / 4 + 32 * 4 * 3 / 4,
        "all-reduce": 3 * 5 * 2 * (16 * 2 + 4 * 4) * 7 / 8,
        "reduce-scatter": 3 * 5 * 64 * 8 * 2 * 3 / 4 + 16 * 8 * 4 * 15 / 16,
        "all-to-all": 8 * 4 * 8 * 2 * 3 / 4,
        "collective-permute": 3 * 10 * 4,
    }


def test_memory_by_hand():
    """7B on one chip: codes and scales, embedding and head, norms and biases; adapter, two moments and two counts; a batch of five arrays."""
    one = job(SEVEN, "v5e:1x1")
    plan = roofline.plan_of(one)
    c, shapes = one.config, blocks.linear_shapes(one.config)
    linear = c.layers * sum(k * n for k, n in shapes.values())
    small = c.layers * (2 * c.embed + c.embed + 2 * 512) + c.embed
    adapter = 4 * 64 * c.layers * sum(k + n for k, n in shapes.values())
    parts = plan.found[0].parts
    assert parts["weights"] == linear * 9 // 16 + 2 * (2 * c.vocab * c.embed + small)
    assert (parts["adapter"], parts["optimizer"] - 2 * adapter, parts["batch"]) == (
        adapter,
        8,
        16 * 2048 * 4 * 5,
    )
    assert (
        plan.found[2].parts["cache"]
        == plan.decoded * 2 * c.layers * c.kv_heads * c.head_dim * 1216 * 2
    )
    assert (
        plan.fits
        and 10 < plan.found[0].total / 2**30 < 13
        and all(f.how == "analysed" for f in plan.found)
    )
    assert set(plan.found[0].received.values()) == {0.0}


def test_a_mesh_splits_what_it_holds():
    whole, split = (
        roofline.plan_of(job(BIG, "h200:1")),
        roofline.plan_of(job(BIG, "v5e:4x4", "fsdp:4,tensor:4")),
    )
    for name in ("adapter", "optimizer"):
        assert split.found[0].parts[name] == pytest.approx(
            whole.found[0].parts[name] / 4, rel=1e-6
        )  # a factor is split one way only
    assert split.found[0].parts["weights"] == pytest.approx(
        whole.found[0].parts["weights"] / 16, rel=1e-3
    )
    assert (
        split.found[0].received["all-gather"] > 0
        and split.fits
        and not roofline.plan_of(job(BIG, "v5e:1x1")).fits
    )


def test_operations_and_hours():
    one = job(SEVEN, "v5e:1x1", rows=4.84)
    run = cost.run_cost(dataclasses.replace(one.run, steps=1), one.config)
    assert roofline.step_flops(one) == pytest.approx(
        (run.flops - 2 * roofline.measure_flops(one)) * 5 / 16
    )
    eight = dataclasses.replace(one, seeds=8)
    assert roofline.step_flops(eight) == 8 * roofline.step_flops(one)
    plan = roofline.plan_of(one)
    assert (
        plan.step.compute == pytest.approx(roofline.step_flops(one) / (0.4 * 197e12))
        and plan.step.link == 0
    )
    assert plan.hours["training"] == pytest.approx(5000 * plan.step.seconds / 3600)
    assert plan.hours["measuring"] == pytest.approx(
        (1 + 11) * plan.measurement.seconds / 3600
    )


def test_seeds_have_their_own_axis():
    plan = roofline.plan_of(job(SEVEN, "v5e:4x4", "seed:2,tensor:4,data:2", seeds=4))
    two = roofline.plan_of(job(SEVEN, "v5e:4x4", "seed:2,tensor:4,data:2", seeds=2))
    assert plan.found[0].parts["adapter"] == 2 * two.found[0].parts["adapter"]
    assert plan.found[0].parts["weights"] == two.found[0].parts["weights"]


@pytest.mark.parametrize(
    "mesh, settings, message",
    [
        ("fsdp:8", {}, "8 places, but v5e:4x4 has 16"),
        ("fsdp:16", {}, "not divisible by axis size 16"),
        ("tensor:16", {}, "8 key-value heads are not divisible by axis size 16"),
        ("seed:2,fsdp:8", {"seeds": 3}, "3 seeds do not split 2 ways"),
        ("data:16,row:1", {}, "expected axis:size"),
        (
            "data:16",
            {"run": specs.RunSpec(BIG, micro_batch_size=4)},
            "64 packed rows at a time",
        ),
    ],
)
def test_meshes_refused(mesh, settings, message):
    with pytest.raises(ValueError, match=message):
        programs.check_job(dataclasses.replace(job(BIG, "v5e:4x4", mesh), **settings))


def test_search_tries_what_divides():
    found = roofline.search_meshes(job(SEVEN, "h100:4"))
    assert all(math.prod(p.job.sizes.values()) == 4 for p in found) and len(found) == 6
    fitting = [sum(p.hours.values()) for p in found if p.fits]
    assert fitting == sorted(fitting) and found[0].fits
    with pytest.raises(ValueError, match="no mesh of 16 chips splits"):
        roofline.search_meshes(
            dataclasses.replace(
                job(SEVEN, "v5e:4x4"), run=specs.RunSpec(SEVEN, examples=1)
            )
        )


def test_a_refusal_is_a_row():
    message = "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required (19.01G) exceeds available HBM (15.75G)."
    one = job(SEVEN, "v5e:1x1")
    found = compiler._refused(
        compiler.job_site(one, False).train(), one, {"weights": 1}, message, "compiled"
    )
    assert (
        found.total == 19.01 * 2**30
        and "19.01G" in found.refused
        and not programs.fits_memory(found, one)
    )


def script(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_script_on_a_node_of_gpus():
    ran = script(f"--model={SEVEN}", "--topology=h100:1", "--nocompile")
    assert ran.returncode == 0, ran.stderr
    assert (
        "training step" in ran.stdout
        and "by formula" in ran.stdout
        and "Nothing ran" in ran.stdout
    )


def test_scaling_by_formula():
    command = [
        sys.executable,
        SCRIPT.with_name("plan_scaling.py"),
        "--nocompile",
        f"--model={SEVEN}",
        "--topologies=v5e:2x2,v5e:2x4",
        "--strong_rows=16",
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    lines = [
        line.split(" | ")
        for line in ran.stdout.splitlines()
        if line.startswith(("| 4 ", "| 8 "))
    ]
    assert (
        len(lines) == 6
        and [float(line[12]) for line in lines[::2]] == [1.0] * 3
        and all(0.5 < float(line[12]) <= 1.2 for line in lines)
    )


@pytest.fixture(scope="module")
def libtpu():
    pytest.importorskip("libtpu")


def compiled(one: programs.Job, program: str) -> programs.Found:
    return compiler.compile_program(
        getattr(compiler.job_site(one, True), program)(), one, -1.0
    )


@pytest.mark.parametrize("program", ["train", "measure", "decode"])
def test_a_v5e_compiles_every_program(libtpu, program):
    """Two layers of 7B's shapes, splash attention included; arguments are what the formulas say."""
    one = job(SEVEN, "v5e:1x1", layers=2)
    found = compiled(one, program)
    by_formula = programs.analyse_program(
        getattr(compiler.job_site(one, False), program)(), one
    )
    assert (
        found.refused is None
        and programs.fits_memory(found, one)
        and sum(found.received.values()) == 0
    )
    assert {k: v for k, v in found.parts.items() if k != "temporaries"} == {
        k: v for k, v in by_formula.parts.items() if k != "temporaries"
    }
    assert found.total == pytest.approx(by_formula.total, rel=0.3)
    assert (
        program != "decode" or found.parts["temporaries"] < found.parts["cache"]
    )  # no second cache


def test_a_split_cache_stays_split(libtpu):
    """Decoding on a slice: no chip gathers the cache."""
    one = job(SEVEN, "v5e:2x2", "data:2,tensor:2", layers=2)
    found = compiled(one, "decode")
    assert sum(found.received.values()) < found.parts["cache"] / 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "topology, mesh", [("h100:1", "none"), ("h200:8", "data:2,fsdp:2,tensor:2")]
)
def test_gpus_compile_every_program(topology, mesh):
    """Where JAX's CUDA plugin is installed; arguments are what the formulas say, and a split cache stays split."""
    one = job(SEVEN, topology, mesh, layers=2)
    if not compiler.is_available(one.topology):
        pytest.skip("JAX's CUDA plugin is not installed")
    for program in ("train", "measure", "decode"):
        found, by_formula = (
            compiled(one, program),
            programs.analyse_program(
                getattr(compiler.job_site(one, False), program)(), one
            ),
        )
        without = lambda f: {k: v for k, v in f.parts.items() if k != "temporaries"}
        assert without(found) == without(by_formula) and programs.fits_memory(
            found, one
        ), program
        assert (
            program != "decode"
            or found.received["all-gather"]
            < found.parts["weights"] + found.parts["adapter"]
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "model, topology, mesh",
    [
        (SEVEN, "v5e:1x1", "none"),
        (BIG, "v5e:4x4", "fsdp:4,tensor:4"),
        (BIG, "v5p:2x2x4", "data:2,tensor:8"),
        (BIG, "v6e:4x4", "data:2,fsdp:2,tensor:4"),
    ],
)
def test_whole_models_compile_for_slices(libtpu, model, topology, mesh):
    """Every program of the study, all layers: each fits, and the training step takes what the formula says within a quarter."""
    plan = roofline.plan_of(job(model, topology, mesh), compiling=True)
    by_formula = roofline.plan_of(job(model, topology, mesh))
    assert plan.fits and all(f.how.startswith("compiled") for f in plan.found)
    assert plan.found[0].total == pytest.approx(by_formula.found[0].total, rel=0.25)


@pytest.mark.slow
def test_codes_travel_not_weights(libtpu):
    """A v5e slice under fsdp and tensor: what is gathered is what the formula says of codes, scales, adapter and head."""
    one = job(SEVEN, "v5e:2x2", "fsdp:2,tensor:2", layers=2)
    found, by_formula = (
        compiled(one, "train"),
        programs.analyse_program(compiler.job_site(one, False).train(), one),
    )
    assert found.received["all-gather"] == pytest.approx(
        by_formula.received["all-gather"], rel=0.25
    )


def test_no_room_is_an_answer(libtpu):
    one = dataclasses.replace(
        job(SEVEN, "v5e:1x1"), run=specs.RunSpec(SEVEN, quantize=False)
    )
    found = compiled(one, "train")
    assert (
        found.refused
        and found.total > 15.75 * 2**30
        and not programs.fits_memory(found, one)
    )

import dataclasses
import json
import pathlib

import pytest

from jaxent.runs import questions
from jaxent.runs import spec as specs


def test_names_say_what_sets_runs_apart():
    names = [
        specs.RunSpec("Qwen/Qwen2.5-Coder-7B").name,
        specs.RunSpec("Qwen/Qwen2.5-Coder-7B", "B0").name,
        specs.RunSpec("/x/tiny", "B4", "light", 2).name,
        specs.RunSpec("/x/tiny", "B2", csr_lambda=0.3).name,
        specs.RunSpec("/x/tiny", "B2", adapter="tiny/B3-strong-seed0").name,
        specs.RunSpec("/x/tiny", "B2", adapter="/y/some run/adapter").name,
    ]
    assert names == [
        "qwen2.5-coder-7b/B3-strong-seed0",
        "qwen2.5-coder-7b/B0",
        "tiny/B4-light-seed2-lambda0.1",
        "tiny/B2-strong-seed0-lambda0.3",
        "tiny/B2-strong-seed0-from-B3-strong-seed0",
        "tiny/B2-strong-seed0-from-some-run",
    ]


def test_json_round_trip_and_what_is_refused():
    run = specs.RunSpec("m", "B4", lora_target_modules=["q_proj"], lora_r=3)
    assert (
        specs.run_from_json(run.to_json()) == run
        and run.csr_lambda == 0.1
        and run.lora_target_modules == ("q_proj",)
    )
    assert specs.run_from_json({"model": "m"}) == specs.RunSpec("m")
    assert specs.differences(
        run, specs.RunSpec("m", "B4", lora_target_modules=["q_proj"])
    ) == [("lora_r", 3, 64)]
    with pytest.raises(
        ValueError, match="run setting 'ranks': expected one of model, condition"
    ):
        specs.run_from_json({"model": "m", "ranks": 3})
    with pytest.raises(
        ValueError, match="--micro_batch_size 3: expected a divisor of --batch_size 16"
    ):
        specs.RunSpec("m", micro_batch_size=3)


def test_interventions_are_the_papers():
    strong, light = (
        specs.RunSpec("m", intervention=i, **specs.INTERVENTIONS[i])
        for i in ("strong", "light")
    )
    assert (
        strong.lora_r,
        strong.lora_alpha,
        len(strong.lora_target_modules),
        strong.max_steps,
    ) == (
        64,
        128.0,
        7,
        5000,
    )
    assert (
        light.lora_r,
        light.lora_alpha,
        light.lora_target_modules,
        light.max_steps,
    ) == (
        16,
        32.0,
        ("q_proj", "k_proj", "v_proj", "o_proj"),
        2000,
    )


def test_csr_lambda_is_tables_11_and_12():
    runs = questions.csr_lambda(["Qwen/Qwen2.5-Coder-32B"])
    assert [r.name for r in runs] == [
        f"qwen2.5-coder-32b/B4-strong-seed0-lambda{x}" for x in ("0.03", "0.1", "0.3")
    ]
    wide = questions.csr_lambda(
        ["m"], (0, 1, 2), (0, 0.03, 0.1, 0.3), ("strong", "light"), {"max_steps": 300}
    )
    assert (
        len({r.name for r in wide}) == 24
        and {r.max_steps for r in wide} == {300}
        and {r.lora_r for r in wide} == {64, 16}
    )
    assert [r.csr for r in wide if not r.csr_lambda] == [None] * 6


def test_the_embedded_ladder_is_two_sizes_trained_alike():
    folders = [pathlib.Path(f) for f in specs.TINY_LADDER]
    records = [json.loads((f / "pretraining.json").read_text()) for f in folders]
    alike = [
        {k: v for k, v in r["settings"].items() if k != "hidden_size"} for r in records
    ]
    assert alike[0] == alike[1] and [r["settings"]["hidden_size"] for r in records] == [
        64,
        128,
    ]
    for domain in records[0]["domains"]:
        losses = [r["domains"][domain]["held_out_loss"] for r in records]
        assert losses == sorted(losses, reverse=True), domain
    assert len({(f / "tokenizer.json").read_bytes() for f in folders}) == 1
    assert sum(f.stat().st_size for folder in folders for f in folder.iterdir()) < 10e6


def test_the_tuner_decides_the_adapters_kind():
    kinds = {
        tuner: specs.RunSpec("m", tuner=tuner, load_in_4bit=False).lora_config
        for tuner in specs.TUNERS
    }
    assert kinds["lora"] == specs.RunSpec("m").lora_config
    assert kinds["rslora"].scaling == 128 / 64**0.5 == 8 * kinds["lora"].scaling
    assert kinds["dora"].use_dora and not kinds["rslora"].use_dora
    assert specs.RunSpec("m", tuner="dora").name == "m/B3-strong-seed0-dora"
    assert specs.run_from_json({"model": "m"}).tuner == "lora"
    with pytest.raises(
        ValueError, match="--tuner 'pissa': expected one of lora, rslora"
    ):
        specs.RunSpec("m", tuner="pissa")


def test_all_weights_are_trained_from_unquantised_ones_alone():
    run = specs.RunSpec("m", tuner="full", load_in_4bit=False)
    assert run.name == "m/B3-strong-seed0-full" and run.lora_config is None
    with pytest.raises(ValueError, match="4-bit weights: expected --noload_in_4bit"):
        specs.RunSpec("m", tuner="full")
    with pytest.raises(ValueError, match="--adapter a: expected the model to begin"):
        dataclasses.replace(run, adapter="a")


def test_data_of_ones_own_is_a_mixture_of_the_same_kind():
    run = specs.RunSpec("m", "own", dataset="x/own data.jsonl", text_column="body")
    assert run.name == "m/own-own-data-strong-seed0"
    assert run.training_mixture.domains == ("own",)
    assert run.own_sources[0].columns == {"text_column": "body"}
    assert (
        run.max_train_samples is None and specs.RunSpec("m").max_train_samples == 50_000
    )
    run = specs.RunSpec(
        "m",
        "own",
        mixture="code:72,law:28",
        domain=["law=law.jsonl,prompt_column=q,completion_column=a"],
        eval_steps=5,
    )
    assert run.name == "m/own-code-72-law-28-strong-seed0"
    assert run.training_mixture.domains == ("code", "law")
    assert run.held_out.share == 0.05 and specs.RunSpec("m").held_out is None
    assert specs.run_from_json(json.loads(json.dumps(run.to_json()))) == run
    assert hash(run) == hash(specs.run_from_json(run.to_json()))


OWN = {"condition": "own"}
LAW = {"domain": ["law=law.jsonl"]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "x"}, "condition 'B3' with --dataset x and --mixture None"),
        (OWN, "condition 'own' with --dataset None and --mixture None: expected"),
        (LAW, "--domain law=law.jsonl: expected --mixture with it"),
        ({"text_column": "a"}, "--text_column: expected --dataset or --domain with it"),
        ({"loss_on": "all"}, "--loss_on: expected --dataset or --domain with it"),
        ({"dataset_revision": "v1"}, "--dataset_revision v1: expected --dataset too"),
        (OWN | LAW | {"mixture": "code:100"}, "--domain law: no part of the mixture"),
        (
            OWN | {"mixture": "law:100", "domain": ["law=a", "law=b"]},
            "--domain law: found twice, expected once",
        ),
        (OWN | {"mixture": "law:100"}, "domain 'law' has no texts, expected --domain"),
        (
            OWN | LAW | {"mixture": "law:100", "dataset": "x"},
            "--dataset: no part of the mixture .domains law., expected a share of own",
        ),
        ({"eval_steps": 0}, "--eval_steps 0: expected at least 1"),
        ({"max_train_samples": 0}, "--max_train_samples 0: expected at least 1"),
    ],
)
def test_data_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        specs.RunSpec("m", **settings)

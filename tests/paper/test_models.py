import pytest

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables

_CACHE = "/home/x/.cache/huggingface/hub/models--codellama--CodeLlama-7b-hf/snapshots/0"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("Qwen/Qwen2.5-Coder-7B", (paper_models.QWEN_7B, True)),
        ("/models/qwen2.5-coder-7b/", (paper_models.QWEN_7B, True)),
        (_CACHE, (paper_models.CODELLAMA, True)),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", ("Qwen2.5-Coder-7B-Instruct", False)),
        ("/data/tiny", ("tiny", False)),
    ],
)
def test_models_are_known_by_hub_id_folder_or_cache(model, expected):
    assert paper_models.identify_model(model) == expected


def test_every_model_of_the_tables_has_a_repository_and_a_number_of_layers():
    rows = [row for table in paper_tables.TABLES for row in table.rows]
    named = {row.key["model"] for row in rows if "model" in row.key}
    assert named == set(paper_models.HUB) == set(paper_models.LAYERS)
    for name, repository in paper_models.HUB.items():
        assert paper_models.identify_model(repository) == (name, True)


def test_short_names_stay_distinct():
    assert len(set(map(paper_models.short_name, paper_models.HUB))) == 6

"""Plans as text."""

import planned

from jaxent.capacity import plan_text, roofline


def test_a_plan_names_what_it_is_of_and_what_fits():
    plan = roofline.plan_of(planned.job(planned.SEVEN, "v5e:1x1"))
    text = plan_text.format_plan(plan, "A remark.")
    assert text.startswith("Qwen/Qwen2.5-Coder-7B on v5e:1x1, mesh none")
    assert "fits 15.75" in text
    assert "A remark." in text
    total = plan_text.format_gib(plan.costs[0].total)
    assert total in plan_text.format_memory(plan)


def test_a_row_has_a_cell_a_column():
    plan = roofline.plan_of(planned.job(planned.BIG, "v5e:1x1"))
    row = plan_text.format_row(plan, plan)
    assert len(row) == len(plan_text.ROW_HEADER)
    assert row[-2:] == ["**no**", "formula"]

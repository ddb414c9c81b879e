import csv
import re

import parsed_page

from jaxent.paper import tables as paper_tables
from jaxent.report import grid, measured_tables, render, tables


def test_all_forms_of_a_table_say_the_same(full):
    shelf = full.placed.paper
    shown_tables = parsed_page.Parsed(full.page).tables
    for found in (
        *tables.published_tables(shelf),
        *measured_tables.measured_tables(shelf, "paper"),
    ):
        markdown, latex = (
            (full.out / "tables" / f"{found.id}.{form}").read_text()
            for form in ("md", "tex")
        )
        shown = [text.replace("\xa0", " ") for _, text in shown_tables[found.id]]
        for row in found.rows:
            for cell in row:
                text = cell.plain
                assert (
                    text in shown
                    and text.replace("|", r"\|") in markdown
                    and render.tex(text) in latex
                )
        facts = list(csv.DictReader((full.out / "tables" / f"{found.id}.csv").open()))
        measured = [c.text for row in found.rows for c in row if c.kind == "measured"]
        columns = (
            {c.id: c for c in (*paper_tables.find_table(found.id).columns,)}
            if found.id.startswith("T")
            else {}
        )
        for fact in facts if columns else ():
            if fact["status"] == "measured" and re.fullmatch(
                r"-?[\d.e-]+", fact["measured"]
            ):
                column = columns[fact["column"]]
                text = tables.format_value(column, float(fact["measured"]))
                if fact["measured_sd"]:
                    sd = float(fact["measured_sd"])
                    text += f" ± {tables.format_value(column, sd)}"
                assert text in measured, fact
    whole = (full.out / "tables" / "all.md").read_text()
    assert all(f"### Table {i}\n" in whole for i in range(1, 15))


def small_table(text="0.5", kind="measured", notes=("A <note> with | in it.",)):
    row = (grid.Cell("a_b", "key"), grid.Cell(text, kind, "[0.4, 0.6]", (1,)))
    heads = (grid.Head("model"), grid.Head("EI (%)", "measured"))
    return grid.Grid("t", "T & U", "Of 5%.", heads, (row,), notes, (), (1,))


def test_markdown_of_a_small_table():
    assert render.markdown(small_table("0.5|0.6")) == (
        "### T & U\n\nOf 5%. (1)\n\n"
        "| model | EI (%), measured |\n"
        "| :-- | --: |\n"
        "| a_b | 0.5\\|0.6 [0.4, 0.6] (1) |\n\n"
        "1. A <note> with | in it.\n"
    )


def test_latex_of_a_small_table():
    assert render.latex(small_table("0.5 ± 0.1")).split("\n") == [
        r"\begin{table}",
        r"\caption{T \& U. Of 5\%.$^{1}$}",
        r"\begin{tabular}{lr}",
        r"\hline",
        r"model & EI (\%), measured \\",
        r"\hline",
        r"a\_b & 0.5 $\pm$ 0.1 [0.4, 0.6]$^{1}$ \\",
        r"\hline",
        r"\end{tabular}",
        r"\par\footnotesize $^{1}$ A $<$note$>$ with | in it.",
        r"\end{table}",
        "",
    ]


def test_a_table_without_rows_is_written_too():
    empty = grid.Grid("t", "T", "None.", (grid.Head("model"),), (), (), ())
    assert render.markdown(empty).endswith("| model |\n| :-- |\n")
    assert r"\begin{tabular}{l}" in render.latex(empty)
    assert render.flat([empty]) == "table\n"

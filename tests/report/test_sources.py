"""Every table of the paper has measured rows from somewhere."""

from jaxent.paper import tables as paper_tables
from jaxent.report import match, sources


def test_every_table_has_its_source():
    assert list(sources.SOURCES) == [table.id for table in paper_tables.TABLES]


def test_no_records_make_no_rows():
    for rows in sources.SOURCES.values():
        assert rows(match.ResultSet()) == []


def test_rows_of_the_full_study_fit_the_tables_columns(full):
    for table in paper_tables.TABLES:
        rows = sources.SOURCES[table.id](full.placed.paper)
        assert rows, table.id
        names = {name for _, values in rows for name in values}
        assert names & {column.id for column in table.columns}, table.id

import fake_study
import matplotlib.pyplot as plt
import pytest

from jaxent.report import classify
from jaxent.runs import records


@pytest.fixture(scope="session")
def paper_results(tmp_path_factory):
    """The results of an invented full study at the paper's models."""
    root = tmp_path_factory.mktemp("study")
    fake_study.write_study(root)
    return classify.classify_records(records.read_records(root)).paper


@pytest.fixture
def other_results(tmp_path):
    """Turns what a function writes into a folder into results that are no paper's."""

    def read():
        return classify.classify_records(records.read_records(tmp_path)).other

    return read


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")

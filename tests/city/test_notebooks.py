"""The notebooks run, from the first cell to the last, on the sample city; what is committed has no outputs."""

import nbformat
import pytest
from nbclient import NotebookClient

from gis.settings import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_stripped(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, f"{path.name} was committed with outputs"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(path, served_city):
    client = NotebookClient(nbformat.read(path, as_version=4), timeout=120, resources={"metadata": {"path": str(ROOT)}})
    client.execute(env=served_city.env)

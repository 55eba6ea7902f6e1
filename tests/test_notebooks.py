"""The notebooks run from their first cell to the last, and are stored as a reader should get them."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import jaxgan
from jaxgan.config.config import KEYS, SECTIONS

ROOT = Path(__file__).resolve().parents[1]
BOOKS = sorted((ROOT / "colab").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
# What the cell tagged "parameters" sets, in place of what takes minutes.
SMALL = {
    "quickstart": {"POINT_STEPS": 20, "DIGIT_STEPS": 15},
    "techniques": {"STEPS": 60},
    "tpu": {"CONFIG": "cifar10_dcgan", "WIDTH": 4, "NUM_STEPS": 10, "CPU_DEVICES": 2},
}
PICTURES = {"quickstart": 7, "techniques": 8, "tpu": 1}


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def parameters(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    [cell] = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    return cell


def text(path: Path) -> str:
    return "\n".join(cell.source for cell in read(path).cells)


def execute(path: Path, directory: Path, values: dict[str, object]) -> nbformat.NotebookNode:
    """The notebook with its outputs, from a kernel of its own that runs in `directory`/colab."""
    book = read(path)
    cell = parameters(book)
    for name, value in values.items():
        assert re.search(rf"^{name} = ", cell.source, re.MULTILINE), name
        cell.source += f"\n{name} = {value!r}"
    (directory / "colab").mkdir()
    (directory / "configs").symlink_to(ROOT / "configs")
    copy = directory / "colab" / path.name
    nbformat.write(book, copy)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAXGAN_CACHE": str(directory / "cache"),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "PJRT_NPROC": "16",
    }
    command = [sys.executable, "-c", "from nbclient.cli import main; main()", "--inplace", str(copy)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return read(copy)


@pytest.mark.slow
@by_name
def test_notebook_runs_without_a_warning(path, tmp_path):
    outputs = [o for cell in execute(path, tmp_path, SMALL[path.stem]).cells for o in cell.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    assert sum("image/png" in o.get("data", {}) for o in outputs) == PICTURES[path.stem]


@by_name
def test_notebook_is_stored_without_outputs(path):
    book = read(path)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert {key for cell in book.cells for key in cell.metadata} == {"tags"}


def test_notebooks_install_alike_and_on_colab_only():
    first, *others = (next(cell for cell in read(path).cells if cell.cell_type == "code").source for path in BOOKS)
    assert others == [first, first]
    assert first.index('if "google.colab" in sys.modules:') < first.index("    %pip install")


@by_name
def test_everything_named_exists(path):
    sections = "|".join(SECTIONS)
    named = re.findall(rf"[`\"]((?:{sections})\.\w+)[`\" ]", text(path))
    named += re.findall(r"\bconfig\.([a-z]\w*\.\w+)", text(path))
    assert set(named) <= {*KEYS}
    for file in re.findall(r"\b(?:configs|docs)/\w+\.\w+", text(path)):
        assert (ROOT / file).is_file()
    for file in re.findall(r"\((\w+\.ipynb)\)", text(path)):
        assert (ROOT / "colab" / file).is_file()


@by_name
def test_public_names_are_taken_from_the_package_itself(path):
    for module, names in re.findall(r"^from (jaxgan\.[\w.]+) import ([\w, ]+)$", text(path), re.MULTILINE):
        for name in {*names.split(", ")} & {*jaxgan.__all__}:
            assert getattr(importlib.import_module(module), name) is not getattr(jaxgan, name), name


@by_name
def test_no_path_is_of_one_machine(path):
    assert re.findall(r"(?<![\w.}])/(?!content/)\w+/", text(path).replace("://", "")) == []

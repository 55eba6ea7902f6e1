"""Imports between the rooms point down only."""

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import jaxgan
from jaxgan.architectures import ARCHITECTURES

PACKAGE = Path(jaxgan.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# The rooms from the top to the bottom: a room imports from those below its own.
ROOMS = (
    "main",
    "reporting",
    "training",
    "evaluation",
    "sampling",
    "steps",
    "runs",
    "devices",
    "config",
    "architectures",
    "techniques",
    "data",
    "metrics",
    "nn",
    "monitor",
    "files",
    "errors",
)
# The rooms from here down know no configuration, and import these libraries only.
LEAVES = ROOMS[ROOMS.index("architectures") :]
THIRD_PARTY = {
    "data": {"absl", "numpy", "PIL", "mlxtend", "sklearn", "tensorflow_datasets"},
    # scipy: the Hungarian method and exact distances; absl: a warning where a cache is damaged.
    "metrics": {"jax", "flax", "optax", "numpy", "scipy", "absl"},
    "monitor": {"jax", "flax", "numpy", "matplotlib"},
    "files": {"absl"},
}
FAMILY = {"jax", "flax", "optax", "numpy"}


def unit(file: Path) -> str:
    """The module or package within jaxgan that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports(file: Path) -> tuple[str, ...]:
    """Full names of all that a file imports, inside of functions too."""
    package = ("jaxgan", *file.relative_to(PACKAGE).parts[:-1])
    names = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            source = ".".join((*above, *([node.module] if node.module else [])))
            names += [f"{source}.{alias.name}" for alias in node.names]
    return tuple(names)


def id_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


INNER = [file for file in FILES if unit(file) != "__init__"]


def test_every_file_is_in_a_room():
    assert {unit(file) for file in INNER} == set(ROOMS)


@pytest.mark.parametrize("file", INNER, ids=id_of)
def test_imports_point_down(file):
    own = unit(file)
    within = {name.split(".")[1] for name in imports(file) if name.startswith("jaxgan.")} - {own}
    assert within <= set(ROOMS[ROOMS.index(own) + 1 :])


@pytest.mark.parametrize("file", [file for file in INNER if unit(file) in LEAVES], ids=id_of)
def test_leaves_import_their_libraries_only(file):
    others = {name.split(".")[0] for name in imports(file)} - sys.stdlib_module_names - {"jaxgan"}
    assert others <= THIRD_PARTY.get(unit(file), FAMILY)


@pytest.mark.parametrize("file", FILES, ids=id_of)
def test_no_module_imports_private_jax_or_other_frameworks(file):
    for name in imports(file):
        assert name.split(".")[0] not in ("tensorflow", "torch"), name
        assert not name.startswith("jax._src"), name
    attributes = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
    assert "_src" not in attributes


def test_only_the_devices_room_maps_over_devices():
    for file in FILES:
        names = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        names |= {name.rpartition(".")[2] for name in imports(file)}
        assert unit(file) == "devices" or not names & {"pmap", "shard_map", "NamedSharding"}, file


def test_package_data_are_where_the_wheel_looks_for_them():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    for pattern in project["tool"]["setuptools"]["package-data"]["jaxgan"]:
        assert list(PACKAGE.glob(pattern)), pattern


def test_every_architecture_file_is_in_the_dict():
    there = {f"jaxgan.architectures.{file.stem}" for file in (PACKAGE / "architectures").glob("*.py")}
    there -= {f"jaxgan.architectures.{name}" for name in ("__init__", "base", "own_modules")}
    assert {a.generator.__module__ for a in ARCHITECTURES.values()} == there


def heavy_after(code: str, *argv: str) -> tuple[int, str, str]:
    """Exit code and output of a fresh Python, and which of the slow libraries it imported."""
    names = ("jax", "flax", "matplotlib", "tensorflow_datasets", "orbax", "optax")
    script = f"import atexit, sys\natexit.register(lambda: print([n for n in {names} if n in sys.modules]))\n{code}"
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, timeout=120)
    output, _, found = done.stdout.rstrip("\n").rpartition("\n")
    return done.returncode, output + done.stderr, found


def test_import_of_the_package_is_light():
    assert heavy_after("import jaxgan; jaxgan.__version__") == (0, "", "[]")


def test_help_is_light():
    run = "import runpy; runpy.run_module('jaxgan.main', run_name='__main__', alter_sys=True)"
    code, output, found = heavy_after(run, "--help")
    assert found == "[]"
    assert code == 0, output
    assert "--config" in output and "--workdir" in output


def test_no_module_changes_the_environment_when_it_is_imported():
    """JAX itself does when it is imported, so it is imported before."""
    modules = ["jaxgan", *(f"jaxgan.{'.'.join(file.relative_to(PACKAGE).with_suffix('').parts)}" for file in FILES)]
    modules = [name.removesuffix(".__init__") for name in modules]
    script = f"""
import importlib, os
import jax
before = dict(os.environ)
for name in {modules}:
    importlib.import_module(name)
    assert dict(os.environ) == before, name
print(len(before))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

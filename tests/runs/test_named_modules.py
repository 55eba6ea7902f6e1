import sys

import flax.linen as nn
import pytest

from jaxgan.errors import UserError
from jaxgan.runs.named_modules import check_given, find, names

CODE = """
import flax.linen as nn

class Net(nn.Module):
    width: int = 3

class Sized(nn.Module):
    width: int

def wide():
    return Sized(7)

instance = Sized(5)
number = 3

def broken():
    raise OSError("no")

class Outer:
    Inner = Net
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Files that can be imported from the current directory, as the command line does."""
    (tmp_path / "their_nets.py").write_text(CODE)
    (tmp_path / "their_broken.py").write_text("import missing_package_xyz\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("their_nets", "their_broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name, width", [("Net", 3), ("wide", 7), ("instance", 5), ("Outer.Inner", 3)])
def test_find_gives_the_module_that_is_named(name, width, package):
    found = find(f"their_nets:{name}", "generator")
    assert isinstance(found, nn.Module) and found.width == width


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("their_nets", "must be --generator=package.module:Class"),
        (":Net", "must be --generator=package.module:Class"),
        ("their_nets:", "must be --generator=package.module:Class"),
        ("their_net:Net", "names a module that is not found: run the command in the directory"),
        ("their_nets.deep:Net", "cannot be imported|not found"),
        ("their_broken:Net", "cannot be imported .*missing_package_xyz"),
        ("their_nets:Nett", "is not known: .* Did you mean 'Net'"),
        ("their_nets:Sized", "cannot be made without arguments"),
        ("their_nets:broken", "cannot be made without arguments"),
        ("their_nets:number", "gives 3: it must give a Linen module"),
        ("os:getcwd", "it must give a Linen module"),
        ("..:x", "cannot be imported"),
    ],
)
def test_find_says_in_a_sentence_what_is_wrong(text, sentence, package):
    with pytest.raises(UserError, match=sentence):
        find(text, "generator")


class Net(nn.Module):
    pass


def test_names_can_be_found_again():
    assert names(Net(), None) == {"generator": f"{__name__}:Net"}
    assert isinstance(find(names(None, Net())["discriminator"], "discriminator"), Net)


def test_a_run_is_given_the_modules_it_was_trained_with():
    own = {"generator": "their:Net"}
    check_given("run", None, own)  # a record of before they were recorded
    check_given("run", own, {"generator": "__main__:Net"})  # one class has several names
    check_given("run", {}, {})
    with pytest.raises(UserError, match=r"your own generator, 'their:Net': pass generator=, .* --generator=package"):
        check_given("run", own, {})
    with pytest.raises(UserError, match=r"the discriminator of its configuration, .*: leave discriminator out"):
        check_given("run", own, own | {"discriminator": "x:Y"})

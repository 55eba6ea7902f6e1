import numpy as np
import pytest

from jaxgan.errors import TEXT, UserError, listed, shown, suggest


@pytest.mark.parametrize(
    "count, text",
    [
        (0, ""),
        (2, "0, 1"),
        (6, "0, 1, 2, 3, 4, 5"),
        (7, "0, 1, 2, 3, 4 and 2 others"),
        (5000, "0, 1, 2, 3, 4 and 4,995 others"),
    ],
)
def test_a_list_is_cut_with_the_number_of_the_others(count, text):
    assert listed(range(count)) == text


def test_long_entries_of_a_list_are_cut():
    assert len(listed(["x" * 10_000] * 10)) < 1000


class Broken:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    ["x" * 5000, list(range(5000)), {str(i): i for i in range(5000)}, 10**400, 10**6000, Broken()],
    ids=["text", "list", "dictionary", "integer", "giant_integer", "broken"],
)
def test_values_are_cut(value):
    assert 5 < len(shown(value)) <= 80


def test_short_values_are_shown_as_python_writes_them():
    assert [shown(value) for value in ("a", 1.5, (1, None), True)] == ["'a'", "1.5", "(1, None)", "True"]


def test_an_error_keeps_its_beginning_and_its_end():
    text = str(UserError(f"it is {'x' * 460_000}: choose another."))
    assert len(text) == TEXT and text.startswith("it is x") and text.endswith(": choose another.")


def test_suggest_cuts_name_and_list_and_keeps_the_hint():
    text = str(suggest("key", "k99x" + "y" * 3, [f"k{i}" for i in range(100)]))
    assert "and 95 others" in text
    assert "Did you mean 'k99'?" in str(suggest("key", "k99x", [f"k{i}" for i in range(100)]))
    assert len(str(suggest("key", "x" * 5000, ["a"]))) < 200


def test_errors_are_one_line_whatever_a_name_holds():
    for name in ("line\nbreak\x00\ud800", 10**6000, ["deep\n" * 50] * 50, np.eye(3)):
        assert listed([name] * 7).isprintable() and str(suggest("key", name, ["a"])).isprintable()

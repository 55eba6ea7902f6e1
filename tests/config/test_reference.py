import dataclasses

import pytest

from jaxgan.config.config import KEYS, SECTIONS, Config
from jaxgan.config.fields import Names, rule_of
from jaxgan.config.reference import WIDTH, markdown, rows, table
from jaxgan.errors import UserError

FIELDS = {
    (f"{name}.{field.name}" if name else field.name): field
    for name, cls in {"": Config, **SECTIONS}.items()
    for field in dataclasses.fields(cls)
    if "rule" in field.metadata
}


def test_every_key_is_declared_with_a_meaning():
    assert tuple(sorted(FIELDS)) == tuple(sorted(KEYS))
    for key, field in FIELDS.items():
        meaning = rule_of(field).meaning
        assert meaning[0].isupper() and meaning.endswith(".") and len(meaning) > 8, key


@pytest.mark.parametrize("key", [key for key in FIELDS if isinstance(rule_of(FIELDS[key]).allowed, Names)])
def test_names_read_without_an_import_are_those_of_the_dictionary(key):
    names = rule_of(FIELDS[key]).allowed
    assert names.without_import() == tuple(names)


def test_the_page_holds_every_key_with_its_default_and_meaning():
    text = markdown()
    for row in rows():
        entry = text.partition(f"[`{row.key}`]{{#{row.key.replace('.', '-')}}}\n: ")[2].partition("\n[`")[0]
        assert all(part in entry for part in (row.meaning, f"`{row.default}`", row.type, row.allowed))
        assert ("may change on resume" in entry) == row.resumable
    lines = text.splitlines()
    assert ["## Without a section", *(f"## {section}" for section in SECTIONS)] == [
        line for line in lines if line.startswith("## ")
    ]


def test_the_table_is_narrow_and_aligned_and_holds_every_key():
    text = table()
    assert max(map(len, text.splitlines())) <= WIDTH
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "] == list(KEYS)


def test_a_word_selects_keys_by_name_meaning_and_allowed_values():
    assert [row.key for row in rows("packing")] == ["model.packing"]
    assert "loss.name" in [row.key for row in rows("HINGE")]
    assert {row.key for row in rows("g_optim.")} >= {"g_optim.eps", "g_optim.kind"}
    assert "eval.split" not in table("eval.stop_ratio")


def test_a_word_in_no_key_is_refused_with_the_nearest_key():
    with pytest.raises(UserError, match=r"'lerning_rate' is in no key.*learning_rate"):
        table("lerning_rate")
    with pytest.raises(UserError, match=r"'xyzzy' is in no key.*--keys alone, which prints all"):
        table("xyzzy")

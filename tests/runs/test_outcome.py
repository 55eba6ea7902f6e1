"""The record of why a run ended."""

import pytest

from jaxgan.runs.outcome import FILE, KINDS, WhyEnded, forget, record, recorded


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_comes_back_until_the_run_goes_on(kind, tmp_path):
    assert recorded(tmp_path) is None
    record(tmp_path, WhyEnded(kind, 7, "for a reason"))
    assert recorded(tmp_path) == WhyEnded(kind, 7, "for a reason")
    forget(tmp_path)
    forget(tmp_path)
    assert recorded(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"kind": "x", "step": 1, "reason": ""}', '{"kind": "complete"}'])
def test_a_damaged_record_is_none(text, tmp_path):
    (tmp_path / FILE).write_text(text)
    assert recorded(tmp_path) is None

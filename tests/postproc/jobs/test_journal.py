"""Journals: what was noted is read again, up to what is damaged, by the job whose it is."""

import json

import numpy as np
import pytest

from postproc.jobs.journal import Journal, TakenOverError, difference


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "`a[1].b` was 2 and is 3 now"),
        ({"a": 1}, {"a": 1, "b": "x"}, '`b` was null and is "x" now'),
        ({"a": [1]}, {"a": [1, 2]}, "`a` was [1] and is [1, 2] now"),
        ({"a": {"b": None}}, {"a": {"b": None}}, None),
    ],
)
def test_differences_are_named(old, new, said):
    assert difference(old, new) == said


def test_a_journal_is_there_with_its_whole_first_line(tmp_path, monkeypatch):
    def killed(*paths):
        raise SystemExit

    monkeypatch.setattr("pathlib.Path.rename", killed)
    with pytest.raises(SystemExit):
        Journal.begin(tmp_path / "journal.jsonl", {})
    assert not (tmp_path / "journal.jsonl").exists()


def test_statistics_pass_through_the_journal_unchanged(tmp_path):
    stats = {
        "n": 3,
        "mean": 0.1 + 0.2,
        "none": None,
        "some": [1, 2],
        "text": "é",
        "wide": np.array([1 / 3, np.nan]),
        "narrow": np.arange(6, dtype=np.int32).reshape(2, 3),
        "count": np.int64(7),
    }
    journal = Journal.begin(tmp_path / "journal.jsonl", {})
    journal.note(4, 17, stats)
    (found,) = Journal.open(tmp_path / "journal.jsonl", {}).stats([4])
    for name, value in stats.items():
        np.testing.assert_array_equal(found[name], value)
    assert found["narrow"].dtype == np.int32
    with pytest.raises(TypeError, match="must be numbers, text, lists or arrays"):
        journal.note(5, 17, {"set": {1}})
    assert json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[0])["journal"] == 4


def test_a_journal_that_was_taken_over_is_not_written_to(tmp_path):
    first = Journal.begin(tmp_path / "journal.jsonl", {"a": 1})
    first.note(0, 1, {})
    second = Journal.open(tmp_path / "journal.jsonl", {"a": 1})
    assert second.is_ours
    assert not first.is_ours
    with pytest.raises(TakenOverError):
        first.note(1, 1, {})
    second.note(1, 2, {})
    assert Journal.open(tmp_path / "journal.jsonl", {"a": 1}).finished.keys() == {0, 1}


@pytest.mark.parametrize(
    "line", [b"{}", b'{"block": 1}', b'{"block": 1, "crc32": 1, "stats": {}}', b"[]"]
)
def test_a_damaged_line_ends_the_journal(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    Journal.begin(path, {}).note(0, 1, {})
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + line + b'\n{"block": 2, "crc32": 1, "stats": {}}\n')
    assert Journal.open(path, {}).finished.keys() == {0}
    assert path.stat().st_size == size

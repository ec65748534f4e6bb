"""Configurations: written and read back, and refused where they are not theirs."""

import json

import pytest

from postproc.can.options import PRESETS, CANOptions, load_can_options, save_can_options

OPTIONS = CANOptions(alpha=2.5, iterations=3, top_k="max", threshold=0.25, smoothing=1.0)


@pytest.mark.parametrize("options", [OPTIONS, *PRESETS.values()])
def test_what_is_saved_comes_back(tmp_path, options):
    save_can_options(tmp_path / "can.json", options)
    assert load_can_options(tmp_path / "can.json") == options
    assert [p.name for p in tmp_path.iterdir()] == ["can.json"]


def test_the_file_is_readable_and_versioned(tmp_path):
    save_can_options(tmp_path / "can.json", OPTIONS)
    content = json.loads((tmp_path / "can.json").read_text())
    assert content == {
        "format_version": 1,
        "method": "can",
        "parameters": {
            "alpha": 2.5,
            "iterations": 3,
            "top_k": "max",
            "threshold": 0.25,
            "smoothing": 1.0,
            "reference_sample": "all",
            "reference_size": "exact",
        },
    }


def test_what_is_left_out_is_the_default(tmp_path):
    path = tmp_path / "can.json"
    content = '{"format_version": 1, "method": "can", "parameters": {"alpha": 2}}'
    path.write_text("\ufeff" + content, encoding="utf-8")
    assert load_can_options(path) == CANOptions(alpha=2)


def test_nothing_is_replaced_unasked(tmp_path):
    path = tmp_path / "can.json"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        save_can_options(path, OPTIONS)
    assert path.read_text() == "mine"
    save_can_options(path, OPTIONS, overwrite=True)
    assert load_can_options(path) == OPTIONS
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        save_can_options(tmp_path / "no" / "can.json", OPTIONS)


def _parameters(**parameters):
    return json.dumps({"format_version": 1, "method": "can", "parameters": parameters})


KEYS = "must be a configuration with the keys method and parameters"
NAMES = "alpha, iterations, top_k, threshold, smoothing, reference_sample, reference_size"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "cannot be read as JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{", ValueError, "cannot be read as JSON: Expecting property name enclosed in double "),
        ("[]", ValueError, KEYS),
        ('"method parameters"', ValueError, KEYS),
        ('{"method": "can"}', ValueError, KEYS),
        ('{"parameters": []}', ValueError, KEYS),
        ('{"parameters": {}}', ValueError, "format_version must be 1, got None"),
        ('{"format_version": 2, "parameters": {}}', ValueError, "format_version must be 1, got 2"),
        (
            '{"format_version": 1, "method": "devil", "parameters": {}}',
            ValueError,
            "method must be \"can\", got 'devil'",
        ),
        (_parameters(beta=1), ValueError, f"parameters must be among {NAMES}, got 'beta'"),
        (_parameters(alpha=0), ValueError, "`alpha` must be in (0, 1000], got 0"),
        (_parameters(alpha="1"), TypeError, "`alpha` must be in (0, 1000], got '1'"),
        (_parameters(alpha=None), TypeError, "`alpha` must be in (0, 1000], got None"),
        (_parameters(threshold=float("nan")), ValueError, "`threshold` must be in [0, 1], got nan"),
        (_parameters(iterations=True), TypeError, "`iterations` must be an integer "),
        (_parameters(top_k="all"), ValueError, '`top_k` must be "max" or an integer '),
        (_parameters(top_k=1), ValueError, "`top_k` must be an integer "),
        (_parameters(smoothing=-1), ValueError, "`smoothing` must be in [0, inf), got -1"),
        (
            _parameters(reference_sample=[]),
            ValueError,
            '`reference_sample` must be one of "all", "stratified", got []',
        ),
    ],
)
def test_what_is_no_configuration(tmp_path, text, error, message):
    path = tmp_path / "can.json"
    path.write_text(text)
    with pytest.raises(error) as caught:
        load_can_options(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_can_options(tmp_path / "can.json")
    (tmp_path / "can.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="cannot be read as JSON"):
        load_can_options(tmp_path / "can.json")

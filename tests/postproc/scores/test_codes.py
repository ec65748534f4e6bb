"""Codes: each is used, documented as it is, and carried by every warning."""

import ast
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest

import postproc
from cli.error_kinds import ROOMS, TYPES
from postproc.scores.codes import CODES, coded

ROOT = Path(__file__).parents[3]
MODULES = [path for top in ("postproc", "ensemble", "cli") for path in (ROOT / top).rglob("*.py")]

#: Errors that no type and no room names.
OTHERS = {"argument", "command-line", "fault", "interrupted"}


def calls(name):
    """All calls of a function by its last name."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
                yield path, node


def test_the_page_is_what_the_registry_says():
    made = runpy.run_path(str(ROOT / "docs" / "codes.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "run python docs/codes.py"


def test_numbers_ascend():
    numbers = [code.number for code in CODES.values()]
    assert numbers == sorted(set(numbers))


def test_every_warning_is_given_somewhere_and_every_error_is_found():
    used = {ast.literal_eval(call.args[0]) for _, call in calls("coded") if is_text(call.args[0])}
    warned = {name for name, code in CODES.items() if code.is_warning}
    assert warned <= used <= CODES.keys()
    assert {*TYPES.values(), *ROOMS.values()} | OTHERS == CODES.keys() - warned


def is_text(node):
    return isinstance(node, ast.Constant)


def test_python_warnings_have_codes():
    for path, call in calls("warn"):
        if ast.unparse(call.func) != "warnings.warn":
            continue
        message = call.args[0]
        named = isinstance(message, ast.Name) and message.id in {"risk", "doubt", "far"}
        is_coded = isinstance(message, ast.Call) and ast.unparse(message.func) == "coded"
        assert named or is_coded, f"{path}: {ast.unparse(call)}"


def test_a_warning_is_silenced_in_python_by_its_code():
    can = postproc.CAN(prior=[0.9, 0.1]).fit(np.eye(2)[[0, 1] * 20])
    target = np.eye(2)[[1] * 40]
    with pytest.warns(UserWarning, match=r"\[PP204\]$"):
        can.predict_proba(target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", r".*\[PP204\]$")
        can.predict_proba(target)


def test_rooms_are_there():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES}
    assert {
        room for room in ROOMS if room not in names and f"{room}.__init__" not in names
    } == set()


def test_an_unknown_kind_is_a_fault():
    with pytest.raises(KeyError):
        coded("nothing", "said")

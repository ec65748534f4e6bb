"""The house: which folder may import which. Imports for type hints count like all others."""

import ast
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: The rooms of the house, each with those that it may import. What a room may import its guests
#: may, too: there is no need to name `scores` beside `files`.
ARROWS = {
    "postproc.scores": (),
    "postproc.files": ("postproc.scores",),
    "postproc.evaluation": ("postproc.scores",),
    "postproc.jobs": ("postproc.files",),
    "postproc.calibration": ("postproc.evaluation",),
    "postproc.reports": ("postproc.evaluation",),
    "postproc.decisions": ("postproc.calibration",),
    "postproc.can": ("postproc.evaluation", "postproc.jobs"),
    "postproc.shift": ("postproc.calibration", "postproc.can", "postproc.jobs"),
    "postproc": ("postproc.shift", "postproc.reports", "postproc.decisions"),
    "ensemble": ("postproc",),
    "cli": ("ensemble",),
}


def allowed(room: str) -> set[str]:
    """The rooms that a room may import, its own among them."""
    return {room}.union(*(allowed(below) for below in ARROWS[room]))


def room_of(module: str) -> str:
    """The longest name in ARROWS that a module's name begins with."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next(name for name in names if name in ARROWS)


def name_of(path: Path) -> str:
    """The module that a file is."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    name_of(path): path
    for path in chain.from_iterable(
        sorted((ROOT / top).rglob("*.py")) for top in ("postproc", "ensemble", "cli")
    )
}


def imported(module: str) -> set[str]:
    """The project's modules that a module imports anywhere, in functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else str(node.module))
    return {name for name in found if name.split(".")[0] in ("postproc", "ensemble", "cli")}


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_arrows(module: str) -> None:
    rooms = allowed(room_of(module))
    strangers = {name for name in imported(module) if room_of(name) not in rooms}
    assert not strangers, f"{module} must not import {strangers}"


def test_there_is_no_circle() -> None:
    below = {module: imported(module) & MODULES.keys() - {module} for module in MODULES}
    while free := [
        module
        for module, names in below.items()
        if not names & below.keys() or not any(module in others for others in below.values())
    ]:
        for module in free:
            del below[module]
    assert not below, f"circle among {sorted(below)}"


def test_no_command_imports_another() -> None:
    commands = {name for name in MODULES if name.startswith("cli.commands.")}
    assert not {name: imported(name) & commands for name in commands if imported(name) & commands}


def test_rooms_of_postproc_are_folders() -> None:
    # __main__.py is `python -m postproc`: it finds the command by its entry point, not by import.
    found = {path.name for path in (ROOT / "postproc").glob("*.py")}
    assert found == {"__init__.py", "__main__.py"}
    folders = {path.parent.name for path in (ROOT / "postproc").glob("*/__init__.py")}
    assert {f"postproc.{name}" for name in folders} == {name for name in ARROWS if "." in name}

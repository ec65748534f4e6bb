"""Mutation testing: which small changes of a module do its tests not notice?

By hand, from the root: `python -m tests.attack.mutants [MODULE...]`. It prints the survivors as
`file:line: old -> new`; `README.md` beside it explains those that are known.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib.abc
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

#: Modules, and the tests that must notice.
MODULES = {
    "postproc.can.reference": ["tests/postproc/can/test_operation.py"],
    "postproc.can.loop": [
        "tests/postproc/can/test_loop.py",
        "tests/postproc/can/test_operation.py",
    ],
    "ensemble.pools": ["tests/ensemble/test_voting.py"],
    "postproc.evaluation.influence": ["tests/postproc/evaluation/test_influence.py"],
    "postproc.evaluation.paired": ["tests/postproc/evaluation/test_paired.py"],
    "postproc.decisions.sets": ["tests/postproc/decisions/test_sets.py"],
}

#: Seconds after which a mutant counts as noticed: it may loop for ever.
MOST_SECONDS = 300

OTHERS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def changes_of(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may be changed to."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in OTHERS:
        changed = copy.deepcopy(node)
        changed.op = OTHERS[type(node.op)]()
        yield changed
    elif isinstance(node, ast.Compare):
        changed = copy.deepcopy(node)
        changed.ops = [OTHERS[type(node.ops[0])](), *node.ops[1:]]
        yield changed
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse


def places(tree: ast.Module) -> list[tuple[ast.AST, str, int | None, ast.AST]]:
    """Parent, field and place in it of each node inside a function, and what it may become."""
    found: list[tuple[ast.AST, str, int | None, ast.AST]] = []

    def visit(node: ast.AST) -> None:
        for field, value in ast.iter_fields(node):
            of_call = field == "args" and isinstance(node, ast.Call)
            if field in ("annotation", "returns", "decorator_list", "args") and not of_call:
                continue
            for at, child in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(child, ast.AST):
                    where = at if isinstance(value, list) else None
                    found.extend((node, field, where, new) for new in changes_of(child))
                    visit(child)

    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                visit(statement)
                at = node.body.index(statement)
                found.extend((node, "body", at, new) for new in changes_of(statement))
    return found


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Imports one module from another source."""

    def __init__(self, name: str, path: str, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def get_filename(self, name: str) -> str:
        return self.path

    def get_data(self, path: str) -> bytes:
        return self.source.encode()

    def path_stats(self, path: str) -> Any:
        raise OSError  # so that nothing is cached


def is_noticed(name: str, path: str, source: str, tests: Sequence[str]) -> bool:
    """Whether tests fail with another source of a module, in a process of their own."""
    child = os.fork()
    if child == 0:
        import pytest

        signal.alarm(MOST_SECONDS)
        sys.meta_path.insert(0, Mutated(name, path, source))
        options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        code = 1
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                code = int(pytest.main([*tests, *options]))
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] != 0


def main(names: Sequence[str]) -> None:
    """Try all mutants of modules; print survivors and counts."""
    # Imported once, for all mutants; nothing of the project.
    import pytest  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch  # noqa: F401

    for name in names:
        path = f"{name.replace('.', '/')}.py"
        source = Path(path).read_text(encoding="utf-8")
        if is_noticed(name, path, source, MODULES[name]):
            raise SystemExit(f"{name}: its tests fail without a change")
        n_mutants, n_left = len(places(ast.parse(source))), 0
        for at in range(n_mutants):
            tree = ast.parse(source)
            parent, field, where, new = places(tree)[at]
            old = getattr(parent, field) if where is None else getattr(parent, field)[where]
            line, before = old.lineno, ast.unparse(old)
            if where is None:
                setattr(parent, field, new)
            else:
                getattr(parent, field)[where] = new
            changed = ast.unparse(ast.fix_missing_locations(tree))
            if not is_noticed(name, path, changed, MODULES[name]):
                n_left += 1
                print(f"{path}:{line}: {before} -> {ast.unparse(new)}", flush=True)  # noqa: T201
        print(f"{name}: {n_mutants} mutants, {n_left} not noticed", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:] or list(MODULES))

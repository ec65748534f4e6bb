"""Variants of texts, written row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.messages import echo
from cli.run.outcome import Outcome
from cli.task.output import variants_path
from cli.task.runner import Runner
from ensemble.augmentation import WordRoles, aeda
from postproc.files.texts import TextTable, save_variants
from postproc.scores.checks import fail
from postproc.scores.codes import coded

#: What is said of variants that were made with the labels of their texts.
TELLING = coded(
    "labels-in-texts",
    "variants hold words of the labels of their own texts: train on them, do not judge by them "
    "(--fit learns the roles of words from other texts)",
)


def augment_file(
    path: str,
    runner: Runner,
    *,
    text_column: str | None,
    method: str,
    fit: str | None,
    k: int,
    with_original: bool,
) -> Outcome:
    """Read a table of texts and write its variants."""
    output = variants_path(path, runner)
    table = _open(path, runner, text_column)
    notes: list[str] = []
    if method == "aeda":
        make = _by_aeda(table, k, runner.running.seed)
    else:
        make = _by_roles(table, runner, text_column, fit, k)
        notes += [] if fit is not None else [TELLING]

    def variants_of(name: str, cells: list[str]) -> list[str]:
        variants = make(name, cells)
        return [cells[table.text], *variants] if with_original else variants

    rows = save_variants(output, table, variants_of, overwrite=runner.outputs.overwrite)
    summary = {
        "method": method,
        "texts": rows // (k + with_original),
        "rows": rows,
        "id_column": "id" if table.id is None else table.names[table.id],
        "text_column": table.names[table.text],
        "output": str(output),
        "warnings": notes,
    }
    return Outcome(summary, _show)


def _open(path: str, runner: Runner, text_column: str | None) -> TextTable:
    return TextTable.open(path, text_column=text_column, id_column=runner.inputs.id_column)


def _by_aeda(table: TextTable, k: int, seed: int) -> Callable[[str, list[str]], list[str]]:
    return lambda name, cells: aeda(cells[table.text], k, seed=seed, text_id=name)


def _by_roles(
    table: TextTable, runner: Runner, text_column: str | None, fit: str | None, k: int
) -> Callable[[str, list[str]], list[str]]:
    """Roles of other texts, whatever labels the table has; or of its own texts and labels."""
    learned = table if fit is None else _open(fit, runner, text_column)
    place = learned.label_place(runner.inputs.label_column)
    if place == learned.text:
        fail("label_column", "another column than that of texts", repr(learned.names[place]))
    labelled = [(cells[learned.text], cells[place].strip()) for _, cells in learned.rows()]
    roles = WordRoles().fit([text for text, _ in labelled], [label for _, label in labelled])
    seed = runner.running.seed

    def variants(name: str, cells: list[str]) -> list[str]:
        label = cells[place].strip() if fit is None else None
        return roles.variants(cells[table.text], k, label=label, seed=seed, text_id=name)

    return variants


def _show(summary: dict[str, Any]) -> None:
    """Print how many rows were made of how many texts."""
    echo(f"{summary['texts']} texts, {summary['rows']} rows ({summary['method']})")

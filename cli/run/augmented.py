"""Variants of texts, written row by row."""

from __future__ import annotations

from typing import Any

from cli.messages import echo
from cli.run.outcome import Outcome
from cli.task.output import variants_path
from cli.task.runner import Runner
from ensemble.augmentation import aeda
from postproc.files.texts import TextTable, save_variants


def augment_file(
    path: str,
    runner: Runner,
    *,
    text_column: str | None,
    method: str,
    k: int,
    with_original: bool,
) -> Outcome:
    """Read a table of texts and write its variants."""
    output = variants_path(path, runner)
    table = TextTable.open(path, text_column=text_column, id_column=runner.inputs.id_column)

    def variants_of(text: str, name: str) -> list[str]:
        variants = aeda(text, k, seed=runner.running.seed, text_id=name)
        return [text, *variants] if with_original else variants

    rows = save_variants(output, table, variants_of, overwrite=runner.outputs.overwrite)
    summary = {
        "method": method,
        "texts": rows // (k + with_original),
        "rows": rows,
        "id_column": "id" if table.id is None else table.names[table.id],
        "text_column": table.names[table.text],
        "output": str(output),
        "warnings": [],
    }
    return Outcome(summary, _show)


def _show(summary: dict[str, Any]) -> None:
    """Print how many rows were made of how many texts."""
    echo(f"{summary['texts']} texts, {summary['rows']} rows ({summary['method']})")

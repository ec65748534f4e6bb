"""Rows that share an id, pooled and written block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cli.messages import echo
from cli.run.outcome import Outcome
from cli.task.load import in_order_of, load
from cli.task.output import lost_ids, output_like, output_path
from cli.task.runner import Runner
from ensemble.rows import PoolRows, RowGroups, Rule, row_ids
from postproc.files.labels import load_ids


def pool_files(
    paths: Sequence[str], runner: Runner, *, by: Path | None, rule: Rule, order: Path | None
) -> Outcome:
    """Load, pool and write."""
    output = output_path(paths[0], runner)
    files = [load(path, runner, repeated_ids=True) for path in paths]
    first = files[0]
    files = [first, *(in_order_of(file, first, quiet=runner.running.quiet) for file in files[1:])]
    ids = row_ids(files, None if by is None else load_ids(by)[0])
    groups = RowGroups.of(ids, None if order is None else load_ids(order)[0])
    part = PoolRows(tuple(files), groups, rule)
    like = output_like(output, first)
    whole = replace(
        like, shape=(len(groups), like.shape[1]), dtype=part.output_dtype, ids=groups.ids, edges=()
    )
    for _ in runner.write(part, part.cuts(runner.sizes), whole, inputs=files):
        pass
    sizes = np.diff(groups.starts)
    summary = {
        "rule": rule,
        "rows": len(ids),
        "pooled_rows": len(groups),
        "classes": first.n_classes,
        "rows_per_id": [int(sizes.min()), int(sizes.max())] if len(sizes) else [0, 0],
        "output": str(output),
        "warnings": lost_ids(groups.ids, output),
    }
    return Outcome(summary, _show)


def _show(summary: dict[str, Any]) -> None:
    """Print how many rows became one."""
    least, most = summary["rows_per_id"]
    each = f"{least}" if least == most else f"{least} to {most}"
    echo(
        f"{summary['rows']} rows x {summary['classes']} classes pooled to "
        f"{summary['pooled_rows']} rows ({summary['rule']}, {each} rows per id)"
    )

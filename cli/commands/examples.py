"""`postproc examples`: the files of the demo, to try commands on."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from cli import options
from cli.messages import echo
from cli.options import Outputs, Running


@options.command(
    epilog="""\b
Examples:
  postproc examples
  postproc examples try --overwrite
"""
)
@click.argument(
    "folder",
    metavar="[DIR]",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("postproc-demo"),
)
@options.group(Outputs, "overwrite")
@options.group(Running, "seed")
def examples_command(folder: Path, outputs: Outputs, running: Running) -> None:
    """Write predictions to try commands on into the folder DIR, by default postproc-demo.

    They are those of the demo: three classifiers of handwritten digits, on a target in which all
    digits are equally common (DIR/digits) and on one with a long tail (DIR/digits_longtail).
    """
    from cli.messages import note_written
    from cli.run.demo_task import RUNS, make_run_directories

    there = next((run for name in RUNS if (run := folder / name).exists()), None)
    if there is not None and not outputs.overwrite:
        message = f"{there}: exists already; name another folder or use --overwrite"
        raise FileExistsError(message)
    note_written(f"files in {folder}")
    for run in make_run_directories(folder, seed=running.seed).values():
        echo(f"written: {run}/<model>.<split>.npy, labels.<split>.npy, classes.txt")
    even, tail = (shlex.quote(str(folder / name)) for name in RUNS)
    echo(f"""
Try:
  postproc report {even}
  postproc can {even}/neighbours.test.npy --prior uniform
  postproc auto {tail} -o better.npy""")

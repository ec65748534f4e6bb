"""Engines and how commands drive them: progress, resuming, signatures of jobs."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import click
from numpy.typing import NDArray

from cli.messages import echo, note_written, refuse, warn
from cli.options import Inputs, Outputs, Running
from cli.progress import watching
from postproc.decisions.rules import DecideRows
from postproc.files import load_predictions
from postproc.files.decided import save_labels, save_multilabels
from postproc.files.reading import Reading
from postproc.jobs.cuda import DeviceEngine, check_device
from postproc.jobs.engine import Engine, LocalEngine, map_blocks
from postproc.jobs.outputs import Output, has_journal
from postproc.jobs.write import write
from postproc.scores.blocks import DEFAULT_SIZES, Sizes
from postproc.scores.codes import coded
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Source, signature_of
from postproc.scores.threads import available_cores

T = TypeVar("T")

#: Parameters that do not change what is written, and files, whose content counts.
WITHOUT_EFFECT = (
    "as_json", "columns_as", "engine", "integers", "labels_out", "model", "oof", "output",
    "overwrite", "plot", "predictions", "quiet", "resume", "save", "scheduler", "workers",
)  # fmt: skip

#: A job that takes less than so many times the start of Dask's workers is better done without them.
SHORT = 3


@dataclass(frozen=True)
class Runner:
    """Runs the passes of one command on an engine, with the options of the command."""

    engine: Engine
    inputs: Inputs
    outputs: Outputs
    running: Running
    sizes: Sizes

    @classmethod
    def of(cls, inputs: Inputs, outputs: Outputs, running: Running) -> Runner:
        """The runner with the engine that was asked for; sizes may be the context's object."""
        sizes = click.get_current_context().find_object(Sizes) or DEFAULT_SIZES
        return cls(_make_engine(running, sizes), inputs, outputs, running, sizes)

    @property
    def blocks(self) -> dict[str, Any]:
        """Arguments of functions that read rows in blocks."""
        return {"map_blocks": self.map_blocks, "sizes": self.sizes}

    def map_blocks(
        self, function: Callable[[slice], T], blocks: Sequence[slice], what: str = ""
    ) -> Iterator[T]:
        """Map a function over blocks of rows on the engine, with progress."""
        n_rows = blocks[-1].stop if blocks else 0
        with watching(what, n_rows, quiet=self.running.quiet) as watch:
            yield from map_blocks(self.engine, function, blocks, watch=watch)

    def keeping(self, output: Path, inputs: Sequence[Any]) -> Callable[..., Any]:
        """Keeps rows for several passes beside the output: `beside_output` with its options."""
        from postproc.shift.streaming import beside_output

        writer = replace(self, outputs=replace(self.outputs, overwrite=True, labels_out=None))
        write = partial(writer.write, inputs=inputs)
        return partial(beside_output, output=output, write=write, device=self.running.device)

    def write(
        self,
        part: Callable[[slice], tuple[NDArray[Any], dict[str, Any]]],
        cuts: Sequence[slice],
        output: Output,
        *,
        inputs: Sequence[Any],
    ) -> Iterator[dict[str, Any]]:
        """Write what `part` makes of the blocks of `inputs`, and yield their statistics in order.

        The inputs are Predictions; their scores and names enter the job's signature.
        """

        def verify() -> None:
            for each in inputs:
                if isinstance(each.scores, Source):
                    each.scores.verify()

        # One block leaves nothing to resume, but may find what another job has left.
        at_once = len(cuts) <= 1 and output.is_file and not has_journal(output.path)
        quiet = self.running.quiet
        with watching(f"writing {output.path.name}", output.shape[0], quiet=quiet) as watch:
            for stats in write(
                self.engine,
                part,
                cuts,
                output,
                signature={} if at_once else _signature(part, inputs),
                resume=self.running.resume,
                overwrite=self.outputs.overwrite,
                watch=watch,
                verify=verify,
                warn=lambda message: warn([message], quiet=quiet),
                sizes=self.sizes,
            ):
                note_written(output.path)  # it takes its name before the first result is yielded
                yield stats
        if self.outputs.labels_out is not None:
            self._write_labels(output, self.outputs.labels_out, inputs[0])

    def load_written(self, output: Output, like: Predictions) -> Predictions:
        """Load an output that was made from `like`, whatever its columns are called."""
        is_named = output.ids is not None and output.id_heading != "id"
        reading = Reading(
            kind="probs",
            columns=() if output.only is None else output.classes or (),
            id_column=output.id_heading if is_named else None,
            positive=like.positive,
            multilabel=like.multilabel,
        )
        return load_predictions(
            output.path, classes=like.classes, reading=reading, mapped=False, **self.blocks
        )

    def _write_labels(self, output: Output, path: Path, like: Any) -> None:
        """Write the likeliest class of each row of an output, or its labels, beside it."""
        written = self.load_written(output, like)
        cuts, part = written.cuts(self.sizes), DecideRows(written)
        decided = self.map_blocks(part, cuts, f"writing {path.name}")
        blocks = (block for block, _ in decided)
        layout = self.outputs.layout(output, like.classes)
        if written.multilabel:
            save_multilabels(path, blocks, (written.n_rows, written.n_classes), layout)
        else:
            save_labels(path, blocks, written.n_rows, layout)
        note_written(path)


def _make_engine(running: Running, sizes: Sizes) -> Engine:
    """The engine of --engine; it ends with the command."""
    device, scheduler, workers = running.device, running.scheduler, running.workers
    check_device(device, fast=running.fast)
    if running.fast and device == "cpu":
        refuse("--fast requires --device cuda")
    elif running.engine == "local" and scheduler is not None:
        refuse("--scheduler requires --engine dask")
    elif running.engine == "local" and workers is not None:
        refuse("--workers requires --engine dask")
    elif running.engine == "dask" and device != "cpu":
        refuse(f"--device {device} requires --engine local: a single device needs no cluster")
    elif scheduler is not None and workers is not None:
        refuse("--workers starts its own processes; omit it with --scheduler")
    if running.engine == "local":
        n_workers = min(available_cores(), sizes.workers)
        return LocalEngine(n_workers) if device == "cpu" else DeviceEngine(device)
    return click.get_current_context().with_resource(_dask(running))


@contextmanager
def _dask(running: Running) -> Iterator[Engine]:
    """An engine on Dask; says if its own workers took long to start for so short a job."""
    from postproc.jobs.dask import dask_engine

    begun = time.monotonic()
    with dask_engine(
        scheduler=running.scheduler, workers=running.workers, name="--scheduler"
    ) as engine:
        if engine.dashboard is not None and not running.quiet:
            echo(f"Dask dashboard: {engine.dashboard}", err=True)
        started = time.monotonic()
        yield engine
        start, work = started - begun, time.monotonic() - started
        if running.scheduler is None and work < SHORT * start:
            said = f"starting Dask took {start:.1f} s, the job itself {work:.1f} s"
            said += ": --engine local is faster for short jobs"
            warn([coded("slow-start", said)], quiet=running.quiet)


def _signature(part: object, inputs: Sequence[Any]) -> dict[str, Any]:
    """What must be equal for a job to be resumed: every parameter with an effect, by name."""
    context = click.get_current_context()
    params = {name: _plain(value) for name, value in sorted(context.params.items())}
    return {
        "command": context.command.name,
        "version": version("postproc"),
        # Files to fit to have the names of those they belong to: no dict, which would keep one.
        "inputs": [[each.name, signature_of(each.scores)] for each in inputs],
        "options": {name: value for name, value in params.items() if name not in WITHOUT_EFFECT},
        "fitted state": _digest(part),
    }


def _digest(part: object) -> str:
    """Digest of everything that a part holds; files count by path, size and time."""
    digest = hashlib.sha256()

    class Stream:
        """Hashes what is pickled."""

        def write(self, data: Any) -> int:
            """Take in bytes or a buffer."""
            digest.update(data)
            return memoryview(data).nbytes

    pickler = pickle.Pickler(Stream(), protocol=5)
    pickler.fast = True  # equal parts whether or not they hold one thing twice
    pickler.dump(part)
    return digest.hexdigest()[:16]


def _plain(value: Any) -> Any:
    """A parameter as JSON's own types."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value

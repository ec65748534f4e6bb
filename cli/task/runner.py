"""Engines and how commands drive them: progress, resuming, signatures of jobs."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postproc.jobs.engine import Engine
    from postproc.jobs.outputs import Output
    from postproc.scores.blocks import Sizes

T = TypeVar("T")

#: Parameters that do not change what is written.
WITHOUT_EFFECT = (
    "as_json", "csv", "engine", "html", "output", "overwrite", "plot", "quiet", "resume",
    "save", "scheduler", "workers",
)  # fmt: skip


def make_engine(given: dict[str, Any], sizes: Sizes) -> Engine:
    """The engine of --engine; commands without that option compute in this process.

    It ends with the command.
    """
    from postproc.jobs.cuda import DeviceEngine, check_device
    from postproc.jobs.engine import LocalEngine
    from postproc.scores.threads import available_cores

    device = given.get("device", "cpu")
    check_device(device, fast=given.get("fast", False))
    if given.get("fast") and device == "cpu":
        message = "--fast is for --device cuda"
        raise click.UsageError(message)
    scheduler, workers = given.get("scheduler"), given.get("workers")
    if given.get("engine", "local") == "local":
        for name, value in (("--scheduler", scheduler), ("--workers", workers)):
            if value is not None:
                message = f"{name} is for --engine dask"
                raise click.UsageError(message)
        if device != "cpu":
            return DeviceEngine(device)
        return LocalEngine(min(available_cores(), sizes.workers))
    if device != "cpu":
        message = f"--device {device} is for --engine local; one device needs no cluster"
        raise click.UsageError(message)
    if scheduler is not None and workers is not None:
        message = "--workers starts processes of its own; leave it away where --scheduler is given"
        raise click.UsageError(message)
    from postproc.jobs.dask import dask_engine

    engine = click.get_current_context().with_resource(
        dask_engine(scheduler=scheduler, workers=workers, name="--scheduler")
    )
    if engine.dashboard is not None and not given.get("quiet"):
        click.echo(f"Dashboard of Dask: {engine.dashboard}", err=True)
    return engine


@dataclass(frozen=True)
class Runner:
    """Runs the passes of one command on an engine.

    Attributes
    ----------
    engine : Engine
        Where blocks are computed.
    command : str
        Name of the command.
    given : dict
        Its parameters; a command without `resume` among them keeps nothing when it is stopped.
    sizes : Sizes
        How large blocks are: the object of the context, if it is one.
    """

    engine: Engine
    command: str
    given: dict[str, Any]
    sizes: Sizes

    @property
    def blocks(self) -> dict[str, Any]:
        """Arguments of functions that read rows in blocks."""
        return {"map_blocks": self.map_blocks, "sizes": self.sizes}

    def map_blocks(
        self, function: Callable[[slice], T], blocks: Sequence[slice], what: str = ""
    ) -> Iterator[T]:
        """Map a function over blocks of rows on the engine, with progress."""
        from cli.progress import watching
        from postproc.jobs.engine import map_blocks

        n_rows = blocks[-1].stop if blocks else 0
        with watching(what, n_rows, quiet=bool(self.given.get("quiet"))) as watch:
            yield from map_blocks(self.engine, function, blocks, watch=watch)

    def write(
        self,
        part: Callable[[slice], tuple[NDArray[Any], dict[str, Any]]],
        cuts: Sequence[slice],
        output: Output,
        *,
        inputs: Sequence[Any],
    ) -> Iterator[dict[str, Any]]:
        """Write the output and yield the statistics of its blocks in order.

        Parameters
        ----------
        part : callable
            Computes a block and its statistics.
        cuts : sequence of slice
            The blocks.
        output : Output
            What is written.
        inputs : sequence of Predictions or Member
            What is read, with `scores` and `name`, for the signature of the job.
        """
        from cli.messages import note_written, warn
        from cli.progress import watching
        from postproc.jobs.outputs import has_journal
        from postproc.jobs.write import write
        from postproc.scores.sources import Source

        def verify() -> None:
            for each in inputs:
                if isinstance(each.scores, Source):
                    each.scores.verify()

        # One block leaves nothing to go on with, but may find what another job has left.
        at_once = len(cuts) <= 1 and output.is_file and not has_journal(output.path)
        signature = {} if at_once else self._signature(part, inputs)
        quiet = bool(self.given.get("quiet"))
        with watching(f"writing {output.path.name}", output.shape[0], quiet=quiet) as watch:
            for stats in write(
                self.engine,
                part,
                cuts,
                output,
                signature=signature,
                resume=self.given.get("resume"),
                overwrite=self.given["overwrite"],
                watch=watch,
                verify=verify,
                tell=lambda message: warn([message], quiet=quiet),
                sizes=self.sizes,
            ):
                note_written(output.path)  # before the first result it has taken its name
                yield stats

    def keeping(self, output: Path, inputs: Sequence[Any]) -> Callable[..., Any]:
        """Keeps rows for several passes beside the output: `beside_output` with its options."""
        from functools import partial

        from postproc.shift.streaming import beside_output

        writer = replace(self, given={**self.given, "overwrite": True})
        write, device = partial(writer.write, inputs=inputs), self.given.get("device", "cpu")
        return partial(beside_output, output=output, write=write, device=device)

    def _signature(self, part: object, inputs: Sequence[Any]) -> dict[str, Any]:
        """What must be the same for a job to be gone on with."""
        from importlib.metadata import version

        from postproc.scores.sources import signature_of

        given = {key: _plain(value) for key, value in sorted(self.given.items())}
        return {
            "command": self.command,
            "version": version("postproc"),
            # Files to fit to have the names of those that they are for: no dict, which keeps one.
            "inputs": [[each.name, signature_of(each.scores)] for each in inputs],
            "options": {key: value for key, value in given.items() if key not in WITHOUT_EFFECT},
            "fitted state": _digest(part),
        }


def make_runner(given: dict[str, Any], command: str) -> Runner:
    """The runner of a command with the engine that was asked for."""
    from postproc.scores.blocks import DEFAULT_SIZES, Sizes

    sizes = click.get_current_context().find_object(Sizes) or DEFAULT_SIZES
    return Runner(make_engine(given, sizes), command, given, sizes)


def _digest(part: object) -> str:
    """Digest of all that a part holds; files count by path, size and time."""
    digest = hashlib.sha256()

    class Stream:
        """What is pickled is not kept."""

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

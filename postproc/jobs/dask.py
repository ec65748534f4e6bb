"""Engine that computes the blocks on workers of Dask: processes here, or a cluster's machines.

Blocks are tasks of Dask's own scheduler, not chunks of a `dask.array`: a part reads and writes its
rows by path, so an array would only carry handles, and every part would need a second form for
its chunks. Dask still decides which worker computes what, repeats what a dead worker has begun,
and shows it all on its dashboard.
"""

from __future__ import annotations

import logging
import operator
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from postproc.scores.checks import check_count, fail
from postproc.scores.threads import one_blas_thread

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

T = TypeVar("T")

#: Tasks a thread of the workers has before it: one that runs, and those that fill the time in
#: which its result is fetched and the next one sent.
TASKS_PER_THREAD = 3

#: Tasks there are at least: with 20 or more in view Dask leaves a copy of the part with every
#: worker, with fewer it drops one now and then, only to send it again.
LEAST_TASKS = 24

#: Blocks that one task takes at most: a task costs Dask some milliseconds, as some blocks do. There
#: are TASKS_EACH tasks or more for each thread, so that no worker is left waiting for another.
BLOCKS_PER_TASK = 4
TASKS_EACH = 16

#: How far finished blocks may run ahead of one that takes long, in tasks that run at once; their
#: results are held until it is their turn.
LEAD = 4

#: Run by each worker of this machine first: Ctrl-C reaches all processes of a terminal, but only
#: the one that gives out the work is to answer.
WORKER_PRELOAD = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@dataclass(frozen=True)
class _Parcel:
    """A part, or what it gives, that travels in one piece.

    Dask moves arrays without copying them, to wherever they end up; at an odd address NumPy
    multiplies them in another way, and the last digit is another.
    """

    content: Any

    def __reduce__(self) -> tuple[Any, ...]:
        from distributed.protocol import pickle

        return _unpack, (pickle.dumps(self.content),)

    def __call__(self, cuts: Sequence[slice]) -> _Parcel:
        """Compute the results of some blocks, as here on one thread of BLAS."""
        with one_blas_thread():
            return _Parcel([self.content(rows) for rows in cuts])


def _unpack(data: bytes) -> _Parcel:
    """Unpickle what has travelled; its arrays get memory of their own."""
    from distributed.protocol import pickle

    return _Parcel(pickle.loads(data))


class DaskEngine:
    """Computes blocks on the workers that a client of Dask is connected to.

    Parameters
    ----------
    client : distributed.Client
        The client; it stays open. Its workers see the same files under the same paths and have
        the same versions of postproc, NumPy and Python.

    Examples
    --------
    >>> with dask_engine(workers=2) as engine:  # doctest: +SKIP
    ...     sums = list(map_blocks(engine, part, row_cuts(n_rows, n_classes)))
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def dashboard(self) -> str | None:
        """Address of Dask's dashboard; None without bokeh, which draws it."""
        return self.client.dashboard_link if find_spec("bokeh") is not None else None

    def _n_threads(self) -> int:
        """Threads of all workers that are there now; 1 while all are being started anew."""
        from distributed.comm import CommClosedError

        try:
            threads: dict[str, int] = self.client.nthreads()
        except OSError as error:  # no answer in time
            raise CommClosedError(str(error)) from error
        return max(1, sum(threads.values()))

    def run(self, part: Callable[[slice], T], cuts: Sequence[slice]) -> Iterator[tuple[int, T]]:
        """Yield (i, part(cuts[i])) for every cut as they come.

        The part goes to each worker once. What dies with a worker is computed anew by another,
        as often as the scheduler allows (`distributed.scheduler.allowed-failures`).

        Parameters
        ----------
        part : callable
            A small object that can be pickled; what it needs it holds by path.
        cuts : sequence of slice
            Row ranges.

        Raises
        ------
        ConnectionError
            If the scheduler no longer answers, or workers died on the same block too often.
        Exception
            Whatever a part raises, unchanged.
        """
        import dask
        from distributed import as_completed
        from distributed.comm import CommClosedError
        from distributed.protocol import pickle
        from distributed.scheduler import KilledWorker
        from distributed.utils import CancelledError

        client = self.client
        name = f"{type(part).__name__}-{uuid.uuid4().hex}"
        # A task that the scheduler can repeat: data sent to workers is lost when they die. In bytes
        # it asks for no postproc in the scheduler; that it may be large is no news.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
            held = client.submit(pickle.loads, pickle.dumps(_Parcel(part)), key=f"part-{name}")
        done = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        size = min(BLOCKS_PER_TASK, max(1, len(cuts) // (TASKS_EACH * self._n_threads())))
        tasks = [cuts[start : start + size] for start in range(0, len(cuts), size)]
        pending: dict[int, Future] = {}  # in the order of the tasks
        todo = 0

        def give_out() -> None:
            """Keep all threads busy, those of workers that have come since too."""
            nonlocal todo
            window = max(LEAST_TASKS, TASKS_PER_THREAD * self._n_threads())
            first = next(iter(pending), todo)
            stop = min(len(tasks), todo + window - len(pending), first + LEAD * window)
            numbers = range(todo, stop)
            if numbers:
                futures = client.map(
                    operator.call,
                    [held] * len(numbers),
                    tasks[todo:stop],
                    key=[(name, number) for number in numbers],
                )
                pending.update(zip(numbers, futures, strict=True))
                done.update(futures)
                todo = stop

        try:
            give_out()
            while pending:
                batch = done.next_batch()
                for future, result in batch:
                    if isinstance(result, CancelledError):
                        raise result
                    del pending[future.key[1]]
                give_out()
                batch.sort(key=lambda each: each[0].status == "error")  # what is good comes first
                for future, result in batch:
                    if future.status == "error":
                        raise result[1].with_traceback(result[2])
                    yield from enumerate(result.content, size * future.key[1])
        except KilledWorker as error:
            task, deaths = tasks[future.key[1]], error.allowed_failures + 1
            msg = (
                f"{deaths} worker{'s' if deaths > 1 else ''} of Dask died at or near rows "
                f"{task[0].start}..{task[-1].stop - 1}, perhaps for want of memory"
            )
            raise ConnectionError(msg) from error
        except (CancelledError, CommClosedError) as error:
            msg = "the scheduler of Dask no longer answers, or has dropped the blocks"
            raise ConnectionError(msg) from error
        finally:
            if pending and client.status == "running":
                client.cancel(list(pending.values()))


@contextmanager
def dask_engine(
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    name: str = "scheduler",
    timeout: float = 10.0,
) -> Iterator[DaskEngine]:
    """Engine on a scheduler that runs already, or on worker processes of this machine.

    Parameters
    ----------
    scheduler : str, optional
        Address such as `tcp://host:8786`. Its workers see the same files under the same paths
        and have the same versions of postproc, NumPy and Python.
    workers : int, optional
        Number of processes, one thread each, that are started here and end with the `with` block;
        as many as there are cores if no scheduler is given either.
    name : str
        What messages call the scheduler.
    timeout : float
        Seconds that a scheduler may take to answer, and to have a worker.

    Raises
    ------
    ConnectionError
        If the scheduler does not answer, or has no workers.
    ImportError
        If Dask is missing, here or there, or its workers have another version of postproc.
    ValueError
        If both are given, or there are to be no workers.
    """
    try:
        from distributed import Client
    except ImportError:
        msg = 'the engine dask needs Dask; pip install "postproc[dask]"'
        raise ImportError(msg) from None
    if scheduler is not None and workers is not None:
        fail("workers", f"left away where `{name}` is given", workers)
    with _silence(), ExitStack() as stack:
        with _interruptible(), ExitStack() as started:
            if scheduler is None:
                with _ctrl_c_held():
                    at = started.enter_context(_local_cluster(workers))
            else:
                at = _answering(scheduler, name, timeout)
            client = started.enter_context(Client(at, timeout=timeout, set_as_default=False))
            _check_workers(client, name, timeout)
            stack.enter_context(started.pop_all())
        yield DaskEngine(client)


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends, from the processes that start in it for good.

    Those take on what their parent blocks, and would else die with a traceback each before they
    come to `WORKER_PRELOAD`; and a cluster that has not started cannot be closed.
    """
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    if not (in_main and callable(handler) and hasattr(signal, "pthread_sigmask")):
        yield  # Windows, or nothing that Ctrl-C would interrupt
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # the thread that starts it blocks nothing from then on
    held: list[int] = []  # what has come to another thread, which blocks nothing
    signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise an interruption as one, where Dask, half started, fails at its own end because of it.

    Raises
    ------
    KeyboardInterrupt
        If an error has come of one.
    """
    try:
        yield
    except Exception as error:
        behind: BaseException | None = error
        while behind is not None:
            if isinstance(behind, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            behind = behind.__cause__ or behind.__context__
        raise


def _local_cluster(workers: int | None) -> LocalCluster:
    """Worker processes on this machine, one thread each, on ports that are free."""
    import dask
    from dask.system import CPU_COUNT
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    count = CPU_COUNT if workers is None else check_count(workers, "workers", low=1)
    # Dask has memory given back at once; for each block anew it costs a fifth of a soft vote.
    name = "distributed.nanny.pre-spawn-environ"
    environment = dict(dask.config.get(name))
    environment.pop("MALLOC_TRIM_THRESHOLD_", None)
    with dask.config.set({name: environment}):
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=MEMORY_LIMIT // count,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            preload=[*dask.config.get("distributed.worker.preload"), WORKER_PRELOAD],
        )


def _answering(address: str, name: str, timeout: float) -> str:
    """The address, after a scheduler has answered there."""
    from distributed.comm import connect
    from distributed.security import Security
    from distributed.utils import LoopRunner

    async def knock() -> None:
        security = Security().get_connection_args("client")
        comm = await connect(address, timeout=timeout, **security)
        await comm.close()

    try:  # a client that gets no answer complains once more when it is collected
        LoopRunner().run_sync(knock)
    except (OSError, ValueError):
        msg = f"`{name}` must be an address that answers, got {address}"
        raise ConnectionError(msg) from None
    return address


def _check_workers(client: Client, name: str, timeout: float, package: str = "postproc") -> None:
    """Check that there are workers, and that they have the postproc of this process."""
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError:
        msg = (
            f"`{name}` must have workers, got none at {address}; "
            f"start some: dask worker {address} --nthreads 1"
        )
        raise ConnectionError(msg) from None
    ours = version("postproc")
    for worker, found in client.run(version, package, on_error="return").items():
        if found != ours:
            got = found if isinstance(found, str) else "none"
            msg = (
                f"the Dask worker {worker} must have postproc {ours}, got {got}; "
                f"install the same version everywhere"
            )
            raise ImportError(msg)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Dask's own log out of ours: what matters of it comes as an exception."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

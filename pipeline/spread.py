"""Who works on groups of entities: the cores of this machine, or others over Dask; the same work, so the same result.

Dask needs the extra ``dask``: ``pip install 'foreshock[dask]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol, TypeVar

from pipeline.errors import SettingsError

__all__ = ["Here", "Spread", "over_dask"]

# values from which on other processes are worth their seconds of starting
WORTH_PROCESSES = 20_000_000
Task = TypeVar("Task")
Done = TypeVar("Done")


class Spread(Protocol):
    """How tasks are worked on: one after the other here, or by others elsewhere."""

    def map(self, work: Callable[[Task], Done], tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield what came of each task, in order of the tasks."""


class Here:
    """All cores of this machine; one task after the other in this process where there is little to do.

    Parameters
    ----------
    n_values
        How many values there are to go through.
    """

    def __init__(self, n_values: int) -> None:
        self._n_values = n_values

    def map(self, work: Callable[[Task], Done], tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield what came of each task, in order of the tasks."""
        if self._n_values < WORTH_PROCESSES or len(tasks) == 1:
            return map(work, tasks)
        from joblib import Parallel, delayed

        shared = Parallel(n_jobs=-1, return_as="generator", max_nbytes=None, pre_dispatch="n_jobs")
        found: Iterator[Done] = shared(delayed(work)(task) for task in tasks)
        return found


class _Dask:
    def __init__(self, client: Any) -> None:
        self._client = client

    def map(self, work: Callable[[Task], Done], tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield what came of each task, in order; at most two tasks a worker are under way."""
        ahead = 2 * max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        waiting: list[Any] = []
        for at in range(len(tasks) + ahead):
            if at < len(tasks):
                waiting.append(self._client.submit(work, tasks[at], pure=False))
            if at >= ahead and waiting:
                yield waiting.pop(0).result()


@contextmanager
def over_dask(address: str) -> Iterator[Spread]:
    """Spread over the cluster at ``address``, or over ``local[:N]`` processes of this machine.

    Raises
    ------
    SettingsError
        Dask is not installed, or nobody answers at the address.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise SettingsError("--dask needs Dask: pip install 'foreshock[dask]'") from error
    if address.partition(":")[0] != "local":
        try:
            with distributed.Client(address, timeout=10) as client:
                yield _Dask(client)
        except OSError as error:
            raise SettingsError(f"--dask {address}: nobody answers: {error}") from error
        return
    number = address.partition(":")[2]
    if number and not number.isdigit():
        raise SettingsError(f"--dask {address}: should be local, local:N or the address of a scheduler")
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=int(number) if number else None, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield _Dask(client)

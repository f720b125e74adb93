"""Work on groups of entities spread over Dask: the same work on the same groups, so the same result.

Needs the extra ``dask``: ``pip install 'foreshock[dask]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.history import Spread

__all__ = ["over_dask"]

Task = TypeVar("Task")
Done = TypeVar("Done")


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

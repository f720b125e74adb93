"""Laws of the look at a tracking server, on MLflow's own server application: cheap, and never with old credentials."""

from __future__ import annotations

import base64
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import uvicorn

from models.bundle import Bundle
from models.errors import StoreUnreachable
from models.registry import Registry


class Door:
    """MLflow's server application behind a door that counts, and lets in who knows the password, if there is one."""

    def __init__(self, app: Any) -> None:
        self._app, self.password, self.keeps = app, "", True
        self.ports: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.ports.append(scope["client"][1])

        async def sent(said: Any) -> None:
            if said["type"] == "http.response.start" and not self.keeps:
                said = {**said, "headers": [*said["headers"], (b"connection", b"close")]}
            await send(said)

        wanted = b"Basic " + base64.b64encode(f"job:{self.password}".encode())
        if self.password and dict(scope["headers"]).get(b"authorization") != wanted:
            await sent({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
            await sent({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, sent)


Served = tuple[Door, int, str]
Fleet = tuple[Door, Registry, Registry]


@contextmanager
def serving(door: Door, port: int = 0) -> Iterator[int]:
    """Serve on a port of loopback, 0: on any; yields it."""
    server = uvicorn.Server(uvicorn.Config(door, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def served(mlflow_store: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The door, the port of the server and the address of the database behind it."""
    database = mlflow_store(tmp_path_factory.mktemp("served"))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="ignore"):
        patch.setenv("_MLFLOW_SERVER_FILE_STORE", database)
        from mlflow.server.fastapi_app import app

        door = Door(app)
        with serving(door) as port:
            yield door, port, database


@pytest.fixture
def fleet(served: Served, request: pytest.FixtureRequest) -> Fleet:
    """The door, a model as a job sees it over the server, and the same as an operator changes it behind."""
    door, port, database = served
    name = request.node.name
    behind = Registry(name, database)
    behind.save(Bundle("", "", {("web-01", "cpu"): np.ones(3)}))
    behind.promote("1", None)
    door.password, door.keeps = "", True
    door.ports.clear()
    return door, Registry(name, f"http://127.0.0.1:{port}"), behind


def test_a_server_is_asked_over_one_connection_at_a_thousandth_of_a_core(
    fleet: Fleet,
) -> None:
    door, seen, behind = fleet
    assert seen.aliases() == {"champion": "1"}
    began, n_looks = time.thread_time(), 100
    for _ in range(n_looks):
        assert seen.aliases() == {"champion": "1"}
    assert (time.thread_time() - began) / n_looks < 0.001 * 2.0  # of models.poll_seconds
    assert (len(door.ports), len(set(door.ports[1:]))) == (1 + n_looks, 1)
    behind.set_alias("challenger", "1")
    assert seen.aliases() == {"champion": "1", "challenger": "1"}


def test_a_model_that_nobody_registered_has_no_aliases_until_somebody_does(
    fleet: Fleet,
) -> None:
    _, seen, behind = fleet
    other = Registry("of-tomorrow", seen.uri)
    assert (other.aliases(), other.aliases()) == ({}, {})
    later = Registry("of-tomorrow", behind.uri)
    later.save(Bundle("", "", {("web-01", "cpu"): np.ones(3)}), alias="challenger")
    assert other.aliases() == {"challenger": "1"}


def test_a_store_that_is_a_server_has_pages_of_its_own(fleet: Fleet, commands_at: Any) -> None:
    address = fleet[1].uri
    assert f"has its pages at {address}" in commands_at(address)("models", "ui")


def test_a_changed_password_is_found_out_at_the_next_look(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    door, seen, _ = fleet
    door.password = "old"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "job")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "old")
    assert seen.aliases() == {"champion": "1"}
    door.password = "new"
    with pytest.raises(StoreUnreachable, match="401"):
        seen.aliases()
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "new")
    assert seen.aliases() == {"champion": "1"}
    n_before = len(door.ports)
    assert seen.aliases() == {"champion": "1"}
    assert len(door.ports) == n_before + 1


def test_a_connection_that_the_server_closed_is_opened_anew(fleet: Fleet) -> None:
    door, seen, _ = fleet
    door.keeps = False
    assert seen.aliases() == seen.aliases() == {"champion": "1"}
    assert len(set(door.ports)) == len(door.ports) == 2


def test_a_server_that_leaves_is_unreachable_until_it_is_back(fleet: Fleet) -> None:
    door, behind = fleet[0], fleet[2]
    with serving(door) as port:
        seen = Registry(behind.name, f"http://127.0.0.1:{port}")
        assert seen.aliases() == {"champion": "1"}
    with pytest.raises(StoreUnreachable, match=rf"asking for aliases at http://127\.0\.0\.1:{port}"):
        seen.aliases()
    with serving(door, port):
        assert seen.aliases() == {"champion": "1"}

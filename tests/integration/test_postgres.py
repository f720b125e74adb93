"""A model's life on a tracking server of its own, with PostgreSQL behind it and artifacts through its proxy."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from integration.street import wait_until
from integration.test_models import FAULT, FLEET, N_LATER, N_LIVE, N_PAST, Live, stretch_of, write

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
# PostgreSQL refuses to run as root
USER = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}

pytestmark = [
    pytest.mark.whole,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not BINARIES, reason="no PostgreSQL: sh tests/integration/need-postgres.sh"),
]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def database():
    """The address of a fresh database on a cluster of its own, reached over loopback."""
    home, port = Path(tempfile.mkdtemp(prefix="foreshock-postgres-")), free_port()
    if USER:
        shutil.chown(home, "postgres", "postgres")

    def run(name, *arguments):
        subprocess.run([BINARIES[-1] / name, *arguments], check=True, cwd=home, stdout=subprocess.DEVNULL, **USER)

    run("initdb", "--pgdata", home / "data", "--auth", "trust", "--username", "foreshock", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={home} -c fsync=off"
    run("pg_ctl", "--pgdata", home / "data", "--wait", "--log", home / "log", "--options", options, "start")
    yield f"postgresql+psycopg://foreshock@127.0.0.1:{port}/postgres"
    run("pg_ctl", "--pgdata", home / "data", "--mode", "immediate", "stop")
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    """The address of a real tracking server; the job sees neither its database nor its files."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    place = ["--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
    command = [sys.executable, "-m", "mlflow", "server", *place, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, "--workers", "1"], stdout=log, stderr=log, cwd=folder)

    def answers():
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200
        except (urllib.error.URLError, TimeoutError):
            return False

    wait_until(answers, 180)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=30)


def test_a_running_job_swaps_what_was_promoted_on_a_server_with_postgres_behind_it(
    broker, fresh, server, commands_at, tmp_path
):
    call = commands_at(server)
    write(tmp_path / "past", stretch_of(0, N_PAST, []))
    live = Live(broker, fresh("postgres"), server, tmp_path)
    call("train", "--data", tmp_path / "past")
    call("models", "promote", "1", "--force", "--because", "the first")
    live.wait_for("the champion is version 1", 300)
    first = N_PAST + N_LATER
    live.send(stretch_of(first, N_LIVE, [(FLEET.hosts[0], FAULT)], by=150.0))
    call("train", "--data", tmp_path / "past", "--detector", "forest")
    call("models", "promote", "2", "--force", "--because", "the second")
    live.wait_for("the champion is version 2", 300)
    live.send(stretch_of(first + N_LIVE, N_LIVE, [(FLEET.hosts[1], FAULT)], by=150.0))
    live.stop()
    versions = live.versions()
    assert (versions[0], versions[-1]) == ("1", "2")
    assert call.registry.load("champion").card.detector == "forest"
    assert call.registry.aliases() == {"champion": "2", "previous": "1"}

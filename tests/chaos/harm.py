"""What is done to the things around a job: its broker, its snapshots, its input; and a release beside this one."""

import hashlib
import os
import re
import shutil
import signal
import time
from pathlib import Path

from kafka import KafkaAdminClient

import pipeline
from pipeline.state.snapshot import SCHEMA

ROOT = Path(pipeline.__file__).parent.parent


def kill_broker(broker):
    """SIGKILL, and wait until it is gone."""
    os.kill(broker.status().pid, signal.SIGKILL)
    while broker.status().running:
        time.sleep(0.05)


def damage(folder, kind, chance):
    """What happens to folders of snapshots."""
    if kind in ("snapshots deleted", "snapshots read-only", "state lost"):
        shutil.rmtree(folder, ignore_errors=True)
        if kind == "snapshots read-only":
            folder.mkdir()
            folder.chmod(0o555)
        return
    for file in sorted(folder.glob("*/*.state")):
        data = bytearray(file.read_bytes())
        if kind == "snapshots cut" and chance.random() < 0.7:
            data = data[: chance.randrange(len(data))]
        elif kind == "snapshots flipped" and chance.random() < 0.7:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif kind == "snapshots of the schema before":
            data = older(bytes(data))
        file.write_bytes(data)


def older(data):
    """The same snapshot as the schema before would have written it: its number is less, the seal fits."""
    now, before = f'"schema":{SCHEMA}'.encode(), f'"schema":{SCHEMA - 1}'.encode()
    assert now in data and len(now) == len(before)
    changed = data[:-32].replace(now, before, 1)
    return changed + hashlib.sha256(changed).digest()


def expire(client, offsets):
    """Delete all records before these offsets, as retention does."""
    admin = KafkaAdminClient(**client)
    admin.delete_records(offsets)
    admin.close()


def neighbour(folder):
    """A copy of this tree that calls itself the release after this one and writes the snapshot schema after ours.

    No release has been made yet, so the other one can only be this one with another number: what is walked is how
    releases one schema apart read each other's snapshots, not how their detectors differ.
    """
    for package in ("pipeline", "models", "tests/chaos"):  # with the compiled kernels that lie beside the sources
        shutil.copytree(ROOT / package, folder / package)
    replace(folder / "pipeline/state/snapshot.py", rf"^SCHEMA = {SCHEMA}$", f"SCHEMA = {SCHEMA + 1}")
    replace(folder / "pipeline/_version.py", r'"[^"]+"$', '"999.0.0"')
    return folder


def replace(file, old, new):
    """Change one line of a file."""
    changed, n = re.subn(old, new, file.read_text(), flags=re.MULTILINE)
    assert n == 1, f"{file} has {n} lines like {old}"
    file.write_text(changed)

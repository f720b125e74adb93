"""Laws of the package: what is built holds all of it, and works where the checkout is not."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from pipeline._version import __version__

ROOT = Path(__file__).parents[1]
# The interpreted twin of each kernel: what is shown here is what the package holds, not how fast it is.
OUTSIDE = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FORESHOCK"))}
OUTSIDE |= {"NUMBA_DISABLE_JIT": "1", "NO_COLOR": "1"}


def run(*command: object, cwd: Path) -> str:
    """Run a command away from the checkout and return what it said."""
    done = subprocess.run([*map(str, command)], cwd=cwd, env=OUTSIDE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel (built from the sdist) and the sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return {"wheel": next(out.glob("*.whl")), "sdist": next(out.glob("*.tar.gz"))}


def modules(folder: Path) -> set[str]:
    """The files of both packages under a folder."""
    return {
        str(file.relative_to(folder))
        for package in ("pipeline", "models")
        for file in (folder / package).rglob("*")
        if file.is_file() and file.suffix in (".py", ".typed")
    }


def test_the_wheel_holds_every_module_and_nothing_else(built: dict[str, Path]) -> None:
    names = set(zipfile.ZipFile(built["wheel"]).namelist())
    assert {name for name in names if ".dist-info/" not in name} == modules(ROOT)
    assert f"foreshock-{__version__}.dist-info/licenses/LICENSE" in names


def test_the_sdist_holds_every_module_and_the_licence(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert modules(ROOT) <= names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_the_metadata_names_licence_versions_and_extras(built: dict[str, Path]) -> None:
    archive = zipfile.ZipFile(built["wheel"])
    about = archive.read(f"foreshock-{__version__}.dist-info/METADATA").decode()
    for line in (f"Version: {__version__}", "License-Expression: Apache-2.0", "License-File: LICENSE"):
        assert line in about.splitlines()
    assert "Provides-Extra: broker" in about
    tested = ["Classifier: Programming Language :: Python :: 3.11"]
    assert [line for line in about.splitlines() if "Python :: 3." in line] == tested


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_installed_package_works_elsewhere_and_says_what_hides_it(
    built: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    place = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=tmp_path)
    python, site = place / "bin" / "python", next(place.glob("lib/python*/site-packages"))
    # Dependencies come from here; the packages cannot: a path in a .pth file runs no other .pth file.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--no-build-isolation", "--ignore-installed", built[kind], cwd=tmp_path)
    where = run(python, "-c", "import pipeline, models; print(pipeline.__file__, models.__file__)", cwd=tmp_path)
    assert all(file.startswith(str(site)) for file in where.split())

    foreshock = place / "bin" / "foreshock"
    assert run(foreshock, "version", cwd=tmp_path) == run(python, "-m", "pipeline", "version", cwd=tmp_path)
    run(foreshock, "config", "init", cwd=tmp_path)
    assert "incidents:" in (tmp_path / "foreshock.yaml").read_text()
    times = pd.date_range("2026-01-01", periods=120, freq="60s")
    pd.DataFrame({"timestamp": times, "load": [float(i % 7) for i in range(120)]}).to_csv(tmp_path / "db.csv")
    run(foreshock, "backtest", "--test", tmp_path / "db.csv", "--out", tmp_path / "out.parquet", cwd=tmp_path)
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 120

    (tmp_path / "theirs" / "models").mkdir(parents=True)
    (tmp_path / "theirs" / "models" / "__init__.py").touch()
    hidden = {**OUTSIDE, "PYTHONPATH": str(tmp_path / "theirs")}
    said = subprocess.run([str(foreshock), "doctor"], cwd=tmp_path, env=hidden, capture_output=True, text=True)
    assert said.returncode == 2
    assert said.stderr.startswith(f"foreshock: {tmp_path / 'theirs' / 'models'} is imported in place of ours")

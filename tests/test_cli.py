"""Laws of the command line: quick help, one clear line an error, exit statuses, what is generated equals the code."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer

from pipeline._version import __version__
from pipeline.cli.config import default_yaml
from pipeline.cli.helptext import paragraphs
from pipeline.cli.main import app, main
from pipeline.kernels.arrival import push
from pipeline.settings import load

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "pandas", "numba", "kafka", "sklearn", "pydantic", "mlflow")


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def _commands() -> list[tuple[str, ...]]:
    root = typer.main.get_command(app)
    found: list[tuple[str, ...]] = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [(name,)] if inner is None else [(name, one) for one in inner]
    return found


def _cpu_of_children() -> float:
    """Seconds of processor time: unlike the wall clock it is about us, not about who else is busy."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_takes_less_than_half_a_second() -> None:
    command = [sys.executable, "-m", "pipeline", "--help"]
    seconds = []
    for _ in range(5):
        began = _cpu_of_children()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        seconds.append(_cpu_of_children() - began)
    assert min(seconds) < 0.5


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, pipeline.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert set(done.stdout.split()).isdisjoint(HEAVY)


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_help_of_each_command_has_examples(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, *command, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"foreshock {' '.join(command)}" in out


def test_version_is_the_one_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "version") == (0, f"foreshock {__version__}\n", "")
    _, out, _ = _run(capsys, "version", "--json")
    assert json.loads(out)["foreshock"] == __version__


def test_wrong_settings_exit_with_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, complaint = _run(capsys, "config", "show", "--set", "kafka.grup=x")
    assert (code, out) == (2, "")
    assert complaint == "foreshock: --set: unknown key kafka.grup; did you mean kafka.group?\n"


def test_unreachable_broker_exits_with_1_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--set", "kafka.client.bootstrap_timeout_ms=300"]
    code, out, complaint = _run(capsys, "incidents", "list", "--bootstrap-servers", "127.0.0.1:1", *quick)
    assert (code, out) == (1, "")
    assert complaint.startswith("foreshock: nobody answers at 127.0.0.1:1")
    assert complaint.count("\n") == 1


def test_default_file_equals_the_code_and_changes_nothing(tmp_path: Path) -> None:
    path = ROOT / "configs" / "foreshock.yaml"
    assert path.read_text() == default_yaml(), "run: foreshock config init --force configs/foreshock.yaml"
    assert load(str(path), (), {}).settings == load(None, (), {"FORESHOCK_CONFIG": ""}).settings


def test_config_init_never_overwrites_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    assert _run(capsys, "config", "init", str(path))[0] == 0
    assert path.read_text() == default_yaml()
    path.write_text("job: {name: mine}")
    code, _, complaint = _run(capsys, "config", "init", str(path))
    assert (code, complaint) == (2, f"foreshock: {path} is there already; --force overwrites it\n")
    assert _run(capsys, "config", "init", "--force", str(path))[0] == 0
    assert path.read_text() == default_yaml()


def test_config_show_tells_where_each_value_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("job: {name: mine}")
    monkeypatch.setenv("FORESHOCK_KAFKA__GROUP", "theirs")
    secret = ["--set", "kafka.client.sasl_plain_password=hush"]
    _, out, _ = _run(capsys, "config", "show", "--config", str(path), *secret, "--json")
    shown = json.loads(out)
    assert shown["job.name"] == {"value": "mine", "from": str(path)}
    assert shown["kafka.group"] == {"value": "theirs", "from": "FORESHOCK_KAFKA__GROUP"}
    assert shown["kafka.client.sasl_plain_password"] == {"value": "********", "from": "--set"}
    _, out, _ = _run(capsys, "config", "show", "--config", str(path), *secret)
    assert "hush" not in out
    assert "FORESHOCK_KAFKA__GROUP" in out


def test_decode_tells_what_a_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "lines.influx", tmp_path / "samples.parquet"
    path.write_text("cpu,host=db-01 usage=1.5 1700000000000000000\ncpu,host=db-01 usage=2.5 1700000010000000000\n")
    code, said, _ = _run(capsys, "decode", str(path), "--out", str(out))
    assert code == 0
    assert "influx (1 records)" in said
    assert pd.read_parquet(out)["value"].tolist() == [1.5, 2.5]
    _, said, _ = _run(capsys, "decode", str(path), "--json")
    assert json.loads(said)["entities"] == {"db-01": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to decode: name files, or a topic with --topic"),
        (["absent.jsonl.gz"], "absent.jsonl.gz cannot be read: No such file or directory"),
        (["table.parquet"], "table.parquet is a table, not a record; foreshock send brings tables to Kafka"),
        (["text.txt", "--format", "morse"], "--format morse: there are otlp"),
    ],
)
def test_decode_says_what_it_cannot_read(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("table.parquet").write_bytes(b"PAR1")
    Path("text.txt").write_text("hello")
    code, _, complaint = _run(capsys, "decode", *arguments)
    assert code == 2
    assert message in complaint


def test_backtest_writes_a_row_for_each_row_and_hides_the_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = pd.date_range("2026-01-01", periods=300, freq="60s")
    table = pd.DataFrame({"timestamp": times, "load": [float(i % 7) for i in range(300)], "label": [0] * 300})
    test, out = tmp_path / "db-01.csv", tmp_path / "out.parquet"
    table.to_csv(test, index=False)
    code, said, _ = _run(capsys, "backtest", "--test", str(test), "--out", str(out))
    assert code == 0
    assert "300 rows" in said
    frame = pd.read_parquet(out)
    assert len(frame) == 300
    assert [column for column in frame if column.startswith("contribution.")] == ["contribution.load"]


def test_broker_that_does_not_run_is_said_with_status_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "broker", "status", "--data", str(tmp_path))
    assert code == 3
    assert "not running" in out
    assert _run(capsys, "broker", "stop", "--data", str(tmp_path)) == (0, "it was not running\n", "")


def test_help_groups_the_commands_and_wraps_text_by_the_terminal_alone(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = _run(capsys, "--help")
    headings = [line.strip("╭─╮ ") for line in out.splitlines() if line.startswith("╭")]
    assert headings[:4] == ["Options", "Try it", "Watch", "Look closer"]
    assert "Commands" not in headings
    text = "One line\n    of two.\n\n    Examples:\n\n      foreshock demo\n"
    assert paragraphs(text) == "One line of two.\n\nExamples:\n\n  foreshock demo"


def test_version_is_an_option_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "--version") == (0, f"foreshock {__version__}\n", "")


def test_folders_that_cannot_be_made_are_said_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (("broker", "start", "--port", "0"), ("demo",)):
        code, _, complaint = _run(capsys, *command, "--data", str(tmp_path / "file" / "x"))
        assert code in (1, 2)
        assert complaint.startswith("foreshock: ")
        assert str(tmp_path) in complaint
        assert complaint.count("\n") == 1


def test_a_log_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, complaint = _run(capsys, "broker", "logs", "--data", str(tmp_path))
    assert (code, out) == (0, "")
    assert complaint.startswith("no log yet at ")


def test_warm_keeps_compiled_kernels_for_the_next_start(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = _run(capsys, "warm")
    assert (code, said.startswith("compiled in ")) == (0, True)
    assert list(Path(push.stats.cache_path).glob("arrival.push-*.nbi")) != []

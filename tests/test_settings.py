"""Laws of the settings: strict, layered, and every complaint names place, key and cure."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from pipeline.errors import SettingsError
from pipeline.settings import Loaded, load


def _load(*overrides: str, file: Path | None = None, **environment: str) -> Loaded:
    return load(str(file) if file else None, overrides, environment)


def _origin(loaded: Loaded, key: str) -> tuple[object, str]:
    return next((value, origin) for name, value, origin in loaded.rows() if name == key)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "foreshock.yaml"
    path.write_text("kafka:\n  group: from-file\n  topic_prefix: from-file\n  bootstrap_servers: from-file:1\n")
    return path


def test_environment_wins_over_file_and_set_over_both(file: Path) -> None:
    loaded = _load(
        "kafka.topic_prefix=from-set",
        file=file,
        FORESHOCK_KAFKA__TOPIC_PREFIX="from-environment",
        FORESHOCK_KAFKA__GROUP="from-environment",
    )
    assert _origin(loaded, "kafka.topic_prefix") == ("from-set", "--set")
    assert _origin(loaded, "kafka.group") == ("from-environment", "FORESHOCK_KAFKA__GROUP")
    assert _origin(loaded, "kafka.bootstrap_servers") == ("from-file:1", str(file))
    assert _origin(loaded, "kafka.create_topics") == (True, "default")


def test_file_is_found_by_flag_then_variable_then_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flag", "variable", "foreshock"):
        (tmp_path / f"{name}.yaml").write_text(f"job: {{name: {name}}}")
    monkeypatch.chdir(tmp_path)
    assert load("flag.yaml", (), {"FORESHOCK_CONFIG": "variable.yaml"}).settings.job.name == "flag"
    assert load(None, (), {"FORESHOCK_CONFIG": "variable.yaml"}).settings.job.name == "variable"
    assert load(None, (), {}).settings.job.name == "foreshock"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("kafka.topic_prefx=x", "--set: unknown key kafka.topic_prefx; did you mean kafka.topic_prefix?"),
        ("topics=x", "--set: unknown key topics; did you mean source.topics?"),
        ("kafak.group=x", "--set: unknown key kafak.group; did you mean kafka.group?"),
        ("zzz=x", "--set: unknown key zzz"),
        ("kafka=3", "--set: kafka is a section and should hold keys, not 3"),
        ("kafka.client=3", "--set: kafka.client should hold options of kafka-python by name"),
        ("kafka.client.group_id=x", "--set: kafka.client: group_id does not belong here but into kafka.group"),
        ("incidents.resolve_ratio=3", "--set: incidents.resolve_ratio = 3: should be less than or equal to 1"),
        ("job.log_format=xml", "--set: job.log_format = 'xml': should be 'text' or 'json'"),
        ("source.max_poll_records=1.5", "--set: source.max_poll_records = 1.5: should be a valid integer"),
        ("kafka.create_topics=3", "--set: kafka.create_topics = 3: should be a valid boolean"),
        (
            "source.start=never",
            "--set: source.start = 'never': should be latest, earliest or an ISO time such as 2026-01-31T06:00Z",
        ),
        (
            "entities.time_zone=Mars",
            "--set: entities.time_zone = 'Mars': should be a time zone name such as UTC or Europe/Berlin",
        ),
        ("job.name", "--set job.name: should be section.key=value"),
    ],
)
def test_wrong_setting_names_place_key_and_what_is_allowed(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _load(override)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kafka:\n  grup: x\n", "unknown key kafka.grup; did you mean kafka.group?"),
        ("kafka: 127.0.0.1\n", "kafka is a section and should hold keys, not '127.0.0.1'"),
        ("nothing: 1\n", "unknown key nothing"),
        ("kafka:\n  group: a\n  group: b\n", "group is given twice"),
        ("- a\n", "should hold sections such as kafka: and source:"),
        ("a: [\n", "is not YAML"),
        ("job:\n  name: 7\n", "job.name = 7: should be a valid string"),
    ],
)
def test_wrong_file_is_named_with_its_wrong_key(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        _load(file=path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_missing_file_is_an_error_when_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml cannot be read"):
        _load(file=tmp_path / "absent.yaml")


def test_variable_with_a_single_underscore_is_told_its_right_name() -> None:
    with pytest.raises(SettingsError, match="needs two underscores after the section: FORESHOCK_KAFKA__GROUP"):
        _load(FORESHOCK_KAFKA_GROUP="x")


def test_variables_of_a_kubernetes_service_called_foreshock_are_no_settings() -> None:
    assert _load(FORESHOCK_SERVICE_HOST="10.0.0.1", FORESHOCK_PORT="tcp://10.0.0.1:80").origins == {}


def test_text_settings_take_any_word_and_lists_take_commas() -> None:
    loaded = _load("source.topics=on,off", "job.name=007", "kafka.client.sasl_plain_password=1234")
    assert loaded.settings.source.topics == ("on", "off")
    assert loaded.settings.job.name == "007"
    assert loaded.settings.kafka.client == {"sasl_plain_password": "1234"}


def test_start_time_in_a_file_stays_the_text_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("source:\n  start: 2026-01-31T06:00:00Z\n")
    assert _load(file=path).settings.source.start == "2026-01-31T06:00:00Z"


def test_client_options_of_all_layers_come_together(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("kafka:\n  client: {security_protocol: SSL, request_timeout_ms: 5}\n")
    loaded = _load("kafka.client.request_timeout_ms=6", file=path, FORESHOCK_KAFKA__CLIENT__SSL_CAFILE="ca.pem")
    assert loaded.settings.kafka.client == {
        "security_protocol": "SSL",
        "request_timeout_ms": 6,
        "ssl_cafile": "ca.pem",
    }


def test_secrets_are_never_shown() -> None:
    loaded = _load(
        "kafka.client.sasl_plain_password=hush", "kafka.client.ssl_password=", "models.uri=http://me:hush@mlflow:5000"
    )
    assert _origin(loaded, "kafka.client.sasl_plain_password")[0] == "********"
    assert _origin(loaded, "kafka.client.ssl_password")[0] == ""
    assert _origin(loaded, "models.uri")[0] == "http://********@mlflow:5000"
    assert "hush" not in str(loaded.rows())


def test_settings_cannot_be_changed_after_loading() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        _load().settings.kafka.group = "other"

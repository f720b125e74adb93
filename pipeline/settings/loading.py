"""Loading: a YAML file, then the environment, then ``--set``; each value remembers where it came from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from pipeline.errors import SettingsError
from pipeline.settings.sections import Section, Settings

__all__ = ["DEFAULT_FILE", "PREFIX", "Loaded", "load"]

DEFAULT_FILE = "foreshock.yaml"
PREFIX = "FORESHOCK_"
SECRETS = ("password", "secret", "token")


class Given(NamedTuple):
    """One value that somebody gave, and where."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force; ``origins`` says for each dotted key given where it was given."""

    settings: Settings
    origins: dict[str, str]
    file: Path | None

    def rows(self) -> list[tuple[str, Any, str]]:
        """Return (key, value, where from) of every setting, secrets masked."""
        return [
            (key, _masked(key, _plain(value)), self.origins.get(key, "default")) for key, value in _flat(self.settings)
        ]


def load(file: str | None = None, overrides: Iterable[str] = (), environment: Mapping[str, str] = os.environ) -> Loaded:
    """Read the settings once.

    Parameters
    ----------
    file
        A YAML file; None: ``FORESHOCK_CONFIG``, else ``foreshock.yaml`` if there is one, else defaults alone.
    overrides
        ``section.key=value``, as given to ``--set``.
    environment
        Where ``FORESHOCK_SECTION__KEY`` variables are looked for.

    Raises
    ------
    SettingsError
        A key or value is wrong: names where it was given, the key, and what is allowed.
    """
    path = _found(file, environment)
    given = [*_of_file(path), *_of_environment(environment), *_of_overrides(overrides)]
    in_force = {one.key: one for one in given}
    for one in in_force.values():
        _check_key(one)
    try:
        settings = Settings.model_validate(_tree(in_force))
    except ValidationError as error:
        raise SettingsError(_complaint(error, in_force)) from error
    return Loaded(settings, {key: one.origin for key, one in in_force.items()}, path)


def _found(file: str | None, environment: Mapping[str, str]) -> Path | None:
    wanted = file or environment.get("FORESHOCK_CONFIG")
    if wanted:
        return Path(wanted)
    return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None


def _of_file(path: Path | None) -> Iterator[Given]:
    if path is None:
        return
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"{path} should hold sections such as kafka: and source:, not {tree!r}")
    for section, values in tree.items():
        if values is not None and not isinstance(values, dict):
            _check_key(Given(str(section), values, str(path)))
        for key, value in (values or {}).items():
            if f"{section}.{key}" == "kafka.client" and isinstance(value, dict):
                yield from (Given(f"kafka.client.{option}", said, str(path)) for option, said in value.items())
            else:
                yield Given(f"{section}.{key}", value, str(path))


def _of_environment(environment: Mapping[str, str]) -> Iterator[Given]:
    flat_names = {key.replace(".", "_"): key for key in _keys()}
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        rest = name.removeprefix(PREFIX).lower()
        if "__" in rest:
            key = rest.replace("__", ".", 2)
            yield Given(key, _typed(key, text), name)
        elif rest in flat_names:  # other names stay: Kubernetes sets some for a service called foreshock
            right = PREFIX + flat_names[rest].replace(".", "__").upper()
            raise SettingsError(f"environment: {name} needs two underscores after the section: {right}")


def _of_overrides(overrides: Iterable[str]) -> Iterator[Given]:
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise SettingsError(f"--set {override}: should be section.key=value")
        yield Given(key.strip(), _typed(key.strip(), text), "--set")


def _typed(key: str, text: str) -> Any:
    """Read a text as the type of its setting, so that a topic called ``on`` or a password ``007`` stays text."""
    field = _field(key)
    if (field is not None and field.annotation is str) or _secret(key):
        return text
    if field is not None and isinstance(field.default, tuple) and not text.startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise SettingsError(f"{key}: {text!r} cannot be read: {error}") from error


class _Loader(yaml.SafeLoader):
    """YAML without dates (a start time stays a text) and without keys that are given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _tree(given: Mapping[str, Given]) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {}
    for key in sorted(given):  # kafka.client comes before its options
        section, name, *option = key.split(".", 2)
        values = tree.setdefault(section, {})
        if option:
            values, name = values.setdefault(name, {}), option[0]
        values[name] = given[key].value
    return tree


def _keys() -> list[str]:
    return [key for key, _ in _flat(Settings())] + ["kafka.client"]


def _flat(settings: Settings) -> Iterator[tuple[str, Any]]:
    for name in Settings.model_fields:
        for key, value in getattr(settings, name):
            if key == "client":
                yield from ((f"{name}.{key}.{option}", said) for option, said in sorted(value.items()))
            else:
                yield f"{name}.{key}", value


def _field(key: str) -> FieldInfo | None:
    section, _, name = key.partition(".")
    model = Settings.model_fields.get(section)
    return None if model is None else model.annotation.model_fields.get(name)  # type: ignore[union-attr]


def _check_key(given: Given) -> None:
    if given.key == "kafka.client" and not isinstance(given.value, dict):
        raise SettingsError(f"{given.origin}: kafka.client should hold options of kafka-python by name")
    if _field(given.key) is not None or given.key.startswith("kafka.client."):
        return
    known = _keys()
    by_name = {key.partition(".")[2]: key for key in known}
    near = get_close_matches(given.key, [*known, *Settings.model_fields], 1, 0.6)
    last = get_close_matches(given.key.rpartition(".")[2], by_name, 1, 0.8)
    hint = near[0] if near else by_name[last[0]] if last else ""
    if given.key in Settings.model_fields:
        raise SettingsError(f"{given.origin}: {given.key} is a section and should hold keys, not {given.value!r}")
    raise SettingsError(f"{given.origin}: unknown key {given.key}" + (f"; did you mean {hint}?" if hint else ""))


def _complaint(error: ValidationError, given: Mapping[str, Given]) -> str:
    lines = []
    for one in error.errors():
        key = ".".join(str(part) for part in one["loc"][:2])
        origin = next(given[name].origin for name in sorted(given) if name.startswith(key))
        allowed = one["msg"].removeprefix("Value error, ").replace("Input should", "should")
        value = "" if key == "kafka.client" else f" = {one['input']!r}"
        lines.append(f"{origin}: {key}{value}: {allowed}")
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """Mappings of a list as they would be written: without what is at its default."""
    if isinstance(value, tuple):
        return [
            one.model_dump(mode="json", exclude_defaults=True) if isinstance(one, Section) else one for one in value
        ]
    return value


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return "********" if value and _secret(key) else re.sub(r"(?<=://)[^/@]*:[^/@]*@", "********@", value)
    return value


def _secret(key: str) -> bool:
    return key.startswith("kafka.client.") and any(word in key for word in SECRETS)

"""The house rules as laws: what CONTRIBUTING.md says of words, floors, topics and commands is what the code does."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from pipeline.cli.main import app
from pipeline.kafka.topics import Topics

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SOURCES = sorted(file for package in ("pipeline", "models") for file in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILE_LINES, FUNCTION_LINES, PARAMETERS, KERNEL_PARAMETERS = 450, 70, 6, 8
SAYS_NOTHING = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager|base_?classes|tools)(_|$)")
NAMED = re.compile(r"`([\w.-]+)`")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|fastmath\s*=\s*True")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def functions(file: Path) -> Iterator[Function]:
    yield from (node for node in ast.walk(parsed(file)) if isinstance(node, Function))


def is_kernel(function: Function) -> bool:
    return any("njit" in ast.unparse(decorator) for decorator in function.decorator_list)


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def part(name: str) -> str:
    """What stands on the page between two marks."""
    found = re.search(rf"<!-- {name} -->\n(.*)<!-- /{name} -->", PAGE, re.DOTALL)
    assert found, f"CONTRIBUTING.md has no part {name}"
    return found[1].strip()


def test_every_file_says_first_what_it_is_for() -> None:
    silent = [name_of(f) for f in [*SOURCES, *TESTS] if f.read_text().strip() and not ast.get_docstring(parsed(f))]
    assert silent == []


def test_no_name_of_a_file_says_nothing() -> None:
    assert [name_of(file) for file in [*SOURCES, *TESTS] if SAYS_NOTHING.search(file.stem)] == []


def test_files_and_functions_stay_readable() -> None:
    long = [name_of(file) for file in SOURCES if file.read_text().count("\n") > FILE_LINES]
    for file in SOURCES:
        for function in functions(file):
            lines = (function.end_lineno or 0) - function.lineno + 1
            if lines > FUNCTION_LINES:
                long.append(f"{name_of(file)}: {function.name} has {lines} lines")
    assert long == []


def test_functions_take_few_parameters() -> None:
    many = []
    for file in SOURCES:
        for function in functions(file):
            given = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
            taken = [name for name in given if name not in ("self", "cls")]
            command = any("command" in ast.unparse(decorator) for decorator in function.decorator_list)
            most = KERNEL_PARAMETERS if is_kernel(function) else PARAMETERS
            if len(taken) > most and not command and function.name != "__init__":
                many.append(f"{name_of(file)}: {function.name} takes {len(taken)}")
    assert many == []


def test_nothing_is_left_unfinished_and_nothing_erases_nan_checks() -> None:
    lines = [(name_of(file), line) for file in SOURCES for line in file.read_text().splitlines()]
    assert [one for one in lines if UNFINISHED.search(one[1])] == []


def test_no_error_is_caught_whatever_it_is_and_passed_over() -> None:
    silent = []
    for file in SOURCES:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ExceptHandler):
                caught = "BaseException" if node.type is None else ast.unparse(node.type)
                raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                if caught in ("Exception", "BaseException") and not raises:
                    silent.append(f"{name_of(file)}:{node.lineno}")
    assert silent == []


def test_every_test_asserts_something() -> None:
    claims = re.compile(r"assert|raises|warns|check|wait_until")
    tests = [(file, function) for file in TESTS for function in functions(file) if function.name.startswith("test")]
    assert [f"{name_of(f)}: {one.name}" for f, one in tests if not claims.search(ast.unparse(one))] == []


def test_every_kernel_is_tried_by_its_name() -> None:
    """Against a naive twin where it computes; ``tests/naive.py`` holds most of them."""
    tried = "\n".join(file.read_text() for file in TESTS if "integration" not in file.parts)
    packages = {file for file in SOURCES if file.parent.name == "kernels"}
    assert packages
    untried = []
    for file in sorted(packages):
        module = parsed(file)
        for one in module.body:
            public = isinstance(one, Function) and is_kernel(one) and not one.name.startswith("_")
            called = public and re.search(rf"\b{one.name}\(", tried)  # type: ignore[union-attr]
            # one that only other kernels and the package call is tried through them
            if public and not called and file.stem not in tried:
                untried.append(f"{name_of(file)}: {one.name}")  # type: ignore[union-attr]
    assert untried == []


def test_only_kernels_use_numba() -> None:
    users = {
        name_of(file) for file in SOURCES if re.search(r"^\s*(from|import) numba\b", file.read_text(), re.MULTILINE)
    }
    assert {user for user in users if "/kernels/" not in user} == set()


def test_a_public_name_is_in_all() -> None:
    for file in SOURCES:
        names = [node for node in parsed(file).body if isinstance(node, ast.Assign) and "__all__" in ast.unparse(node)]
        if names and isinstance(names[0].value, ast.List):
            told = ast.literal_eval(names[0].value)
            assert told == sorted(told, key=lambda name: (not name.isupper(), not name[:1].isupper(), name)), name_of(
                file
            )


def floors() -> str:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    rooms = [" · ".join(f"`{one.removeprefix('pipeline.')}`" for one in layer.split(" | ")) for layer in layers]
    return "\n".join(f"{number}. {floor}" for number, floor in enumerate(rooms, 1))


def topics() -> str:
    rows = [
        f"| `{name}` | {', '.join(f'{key}={value}' for key, value in settings.items())} |"
        for name, settings in Topics().settings().items()
    ]
    return "\n".join(["| topic | settings |", "|---|---|", *rows])


def commands() -> str:
    groups = {name: getattr(command, "commands", {}) for name, command in COMMANDS.items()}
    return "\n".join(
        f"- `{name}`" + (f": {', '.join(f'`{one}`' for one in inner)}" if inner else "")
        for name, inner in sorted(groups.items())
    )


PARTS = {"floors": floors, "topics": topics, "commands": commands}


def test_the_page_names_our_topics_and_their_settings() -> None:
    assert part("topics") == topics(), "run: python tests/test_house.py"


def test_the_floors_of_the_page_are_those_of_the_import_law() -> None:
    law = {room: number for number, floor in enumerate(floors().splitlines()) for room in NAMED.findall(floor)}
    page = [NAMED.findall(floor) for floor in part("floors").splitlines()]
    assert {room for floor in page for room in floor} <= set(law), "run: python tests/test_house.py"
    heights = [{law[room] for room in floor} for floor in page]
    assert all(len(floor) == 1 for floor in heights)
    assert heights == sorted(heights, key=min)


def test_the_commands_of_the_page_exist() -> None:
    page, code = set(NAMED.findall(part("commands"))), set(NAMED.findall(commands()))
    assert page <= code, "run: python tests/test_house.py"
    assert {"run", "backtest", "decode", "doctor", "incidents", "demo"} <= page


@pytest.mark.parametrize("promised", sorted(set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))))
def test_the_tests_that_show_a_promise_exist(promised: str) -> None:
    assert (ROOT / promised).is_file()


def test_the_page_names_make_targets_that_exist() -> None:
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"make (\w+)", listed))
    pages = PAGE + (ROOT / "README.md").read_text()
    assert set(re.findall(r"(?:`|^ {4})make (\w+)", pages, re.MULTILINE)) <= targets
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets | {"help"}


if __name__ == "__main__":  # writes into CONTRIBUTING.md what the code says
    for name, said in PARTS.items():
        before, _, rest = PAGE.partition(f"<!-- {name} -->\n")
        after = rest.partition(f"<!-- /{name} -->")[2]
        PAGE = f"{before}<!-- {name} -->\n{said()}\n<!-- /{name} -->{after}"
    (ROOT / "CONTRIBUTING.md").write_text(PAGE)

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
from twins import JUDGES, TWINS

from pipeline.cli.main import app
from pipeline.kafka.topics import Topics

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SOURCES = sorted(file for package in ("pipeline", "models") for file in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILE_LINES, FUNCTION_LINES, PARAMETERS, KERNEL_PARAMETERS = 350, 50, 6, 8
SAYS_NOTHING = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager|base_?classes|tools)(_|$)")
NAMED = re.compile(r"`([\w.-]+)`")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|fastmath\s*=\s*True")
# words that the page rules out, where they mean something else
WORDS_OF_OTHERS = {
    "alarm": "NAB's, in its score",
    "alert": "the alert budget",
    "command": "what a person types or a process is started with",
    "instance": "Kafka's and collectd's",
    "interval": "collectd's and Metricbeat's, in what they send",
    "now": "the moment asked about, where it is handed in",
    "rewind": "an entity's way back to a settled copy, for late data",
    "simulate": "the command that makes up a fleet",
    "tag": "protobuf's and MLflow's",
}
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


def test_every_kernel_has_a_naive_twin_or_a_better_judge() -> None:
    kernels = {
        f"{'.'.join(file.relative_to(ROOT).with_suffix('').parts)}.{one.name}"
        for file in SOURCES
        if file.parent.name == "kernels"
        for one in parsed(file).body
        if isinstance(one, Function) and is_kernel(one) and not one.name.startswith("_")
    }
    files = {kernel.rpartition(".")[0] for kernel in kernels}
    judged = {kernel for kernel in kernels if kernel in JUDGES or kernel.rpartition(".")[0] in JUDGES}
    assert kernels - set(TWINS) - judged == set(), "tests/twins.py names the twin or judge of each kernel"
    assert (set(TWINS) | set(JUDGES)) - kernels - files == set(), "tests/twins.py names what is no more"
    assert not set(TWINS) & set(JUDGES)


@pytest.mark.parametrize("kernel", sorted(TWINS))
def test_a_twin_is_there_and_tried_beside_its_kernel(kernel: str) -> None:
    twins, where = TWINS[kernel]
    defined = {one.name for one in functions(ROOT / "tests" / "naive.py")}
    assert set(twins) <= defined
    tried = (ROOT / "tests" / where).read_text()
    assert all(f"naive.{twin}(" in tried for twin in twins)


@pytest.mark.parametrize("kernel", sorted(JUDGES))
def test_a_judge_is_named_with_a_test_that_asks_it(kernel: str) -> None:
    judge, where = JUDGES[kernel]
    assert len(judge.split()) > 0
    assert len([one for one in functions(ROOT / "tests" / where) if one.name.startswith("test")]) > 2


def test_no_twin_is_left_over() -> None:
    called = {name for twins, _ in TWINS.values() for name in twins}
    text = (ROOT / "tests" / "naive.py").read_text()
    unused = {one.name for one in functions(ROOT / "tests" / "naive.py")} - called
    assert {name for name in unused if len(re.findall(rf"\b{name}\(", text)) < 2} == set()


def test_only_kernels_use_numba() -> None:
    users = {
        name_of(file) for file in SOURCES if re.search(r"^\s*(from|import) numba\b", file.read_text(), re.MULTILINE)
    }
    assert {user for user in users if "/kernels/" not in user} == set()


def asked_of_modules(file: Path) -> Iterator[tuple[str, str]]:
    """(module, name) that a file imports, or asks of a module that it imported."""
    tree, known = parsed(file), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, one.name) for one in node.names)
            known |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            yield known[node.value.id], node.attr


def test_a_kernel_without_a_door_for_python_is_called_by_kernels_only() -> None:
    kernels = [file for file in SOURCES if file.parent.name == "kernels"]
    closed = {
        (name_of(file)[:-3].replace("/", "."), function.name)
        for file in kernels
        for function in functions(file)
        if any("INNER" in ast.unparse(decorator) for decorator in function.decorator_list)
    }
    assert len(closed) > 50
    callers = {one for file in {*SOURCES, *TESTS} - {*kernels} for one in asked_of_modules(file)}
    assert closed & callers == set()


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
    rooms = [" · ".join(f"`{one}`" for one in layer.split(" | ")) for layer in layers]
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


def test_the_floors_of_the_page_are_those_of_the_import_law_and_no_room_is_left_out() -> None:
    assert part("floors") == floors(), "run: python tests/test_house.py"
    rooms = {one.stem for one in (ROOT / "pipeline").iterdir() if one.suffix == ".py" or (one / "__init__.py").exists()}
    assert set(NAMED.findall(floors())) == rooms - {"__init__", "__main__", "_version"}


def test_the_commands_of_the_page_are_those_there_are() -> None:
    page, code = set(NAMED.findall(part("commands"))), set(NAMED.findall(commands()))
    assert page == code, "run: python tests/test_house.py"


def promises() -> dict[str, list[str]]:
    """Of each promise on the page the tests that show it, as ``file::test``."""
    page = re.search(r"^## Promises\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    assert page
    parts = re.split(r"^- ", page[1], flags=re.MULTILINE)[1:]
    return {one.split(".")[0].replace("\n ", ""): re.findall(r"`(tests/[\w/]+\.py::\w+)`", one) for one in parts}


@pytest.mark.parametrize("promise", promises())
def test_each_promise_is_shown_by_tests_that_exist(promise: str) -> None:
    shown = [one.split("::") for one in promises()[promise]]
    assert len(shown) > 0
    for file, test in shown:
        assert test in {one.name for one in functions(ROOT / file)}


def words() -> dict[str, list[str]]:
    """The words of the page, with those that are not to be used in their place."""
    rows = re.findall(r"^\| ([a-z][^|`]*) \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    return {word: [one.strip() for one in others.split(",")] for word, others in rows if word != "word"}


def names(file: Path) -> Iterator[str]:
    """What a file calls its functions, classes, parameters and fields, in lower case with blanks."""
    for node in ast.walk(parsed(file)):
        name = ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        yield re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower().replace("_", " ").strip()


def test_the_words_of_the_page_are_those_of_the_code_and_the_others_are_not() -> None:
    said = "\n".join(file.read_text().lower() for file in SOURCES)
    page = words()
    assert len(page) > 15
    unsaid = [one for word in page for one in word.split(", ") if not re.search(rf"\b{one.replace(' ', '[ _]')}", said)]
    assert unsaid == []
    ruled_out = {other.replace("-", " ") for others in page.values() for other in others}
    found = {f" {name} " for file in SOURCES for name in names(file)}
    used = {other for other in ruled_out if any(f" {other} " in name for name in found)}
    assert used == set(WORDS_OF_OTHERS)


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

"""The README's table of captures: what foreshock reads of each, and whether that is what independent decoders found.

usage: wire_table.py [--readme]     (make wire)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from wire import NAMES, WIRE, expected, facts_of, seen  # noqa: E402

from pipeline.catalog import Catalog  # noqa: E402
from pipeline.codecs import decode  # noqa: E402
from pipeline.codecs.capture import read_capture  # noqa: E402
from pipeline.codecs.report import frame_of  # noqa: E402

README = HERE.parent / "README.md"
BEGIN, END = "<!-- wire: made by make wire -->\n", "<!-- end of wire -->\n"
HEAD = """\
| capture | sender | format | records | numbers | their exact sum | as counted by others |
|---|---|---|--:|--:|--:|---|
"""


def table() -> str:
    """The whole table in Markdown."""
    return HEAD + "".join(_row(name) for name in NAMES)


def _row(name: str) -> str:
    facts, catalog = facts_of(name), Catalog()
    records = read_capture(WIRE / f"{name}.jsonl.gz")
    found = decode(records, catalog)
    (format_name,) = found.by_format
    told = seen(frame_of(found, catalog), facts, format_name)
    differing = [key for key, value in expected(facts).items() if told[key] != value]
    verdict = f"differs in {', '.join(differing)}" if differing or found.rejected else "equal"
    sender = facts["client"].replace("|", "/")
    cells = (name, sender, f"`{format_name}`", f"{len(records):,}", f"{told['count']:,}", repr(told["sum"]), verdict)
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Print the table, and write it into the README where asked."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--readme", action="store_true", help="write it into README.md")
    if not NAMES:
        raise SystemExit(f"no captures at {WIRE}")
    made, options = table(), asked.parse_args()
    print(made)
    if options.readme:
        text = README.read_text(encoding="utf-8")
        before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
        README.write_text(text[:before] + made + text[after:], encoding="utf-8")


if __name__ == "__main__":
    main()

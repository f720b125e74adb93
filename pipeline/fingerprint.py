"""One short hash of everything that decides: settings, features and the code of the detectors.

Figures of accuracy and of speed carry it, so that nobody compares the speed of one detector with the verdicts of
another. Comments, docstrings and layout of the code do not change it.
"""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from pipeline.baselines import FEATURE_NAMES
from pipeline.stream import Plan

__all__ = ["fingerprint"]

ROOT = Path(__file__).parent
DECIDING = (
    "baselines.py",
    "scoring.py",
    "sets.py",
    "lifecycle.py",
    "exhaustion.py",
    "rules.py",
    "kernels/*.py",
    "../models/bundle.py",
    "../models/metric_sets.py",
    "../models/detect*.py",
)
# names of the job and of wire formats decide nothing about a verdict
NOT_DECIDING = ("formats", "publish_all_scores", "low_mark")
DIGITS = 12


def fingerprint(plan: Plan) -> str:
    """Twelve hexadecimal digits; equal ones mean equal settings and equal detectors."""
    settings = {key: value for key, value in asdict(plan).items() if key not in NOT_DECIDING}
    settings["incidents"].pop("job")
    said = json.dumps({"settings": settings, "features": FEATURE_NAMES}, sort_keys=True, default=str)
    digest = hashlib.sha256(said.encode())
    for pattern in DECIDING:
        for file in sorted(ROOT.glob(pattern)):
            digest.update(_meaning(file.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:DIGITS]


def _meaning(source: str) -> str:
    """The code as a syntax tree without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:]  # type: ignore[attr-defined]
    return ast.dump(tree)

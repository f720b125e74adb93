"""Anybody's estimator as a scorer: one row at a time, for only so it gives the same bits alone and in any batch.

Matrix products and vectorised functions change the last bits of a row with the size of the batch and with its place
in it, and no padding to a fixed size cures the second. A row that is always scored alone, as a matrix of one row, is
a function of itself. That costs a tenth of a millisecond a row and more: what is compiled is a hundred times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.compiled import Scorer, ScorerRefused, compile_scorer

__all__ = ["RowByRow", "scorer_of"]

Floats = npt.NDArray[np.float64]
METHODS = ("score_samples", "decision_function")


@dataclass(frozen=True, slots=True)
class RowByRow:
    """A fitted estimator on the scikit-learn contract: lower is more anomalous there, the sign is turned here."""

    n_features: int
    estimator: Any
    method: str

    def score(self, x: Floats) -> Floats:
        """Score rows (n_rows, n_features), each alone; raises ValueError if it answers with something else."""
        from sklearn import config_context  # late: a job that serves no estimator starts without it

        rows = np.ascontiguousarray(x, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.n_features:
            raise ValueError(f"rows of shape {rows.shape} where (n_rows, {self.n_features}) is expected")
        ask = getattr(self.estimator, self.method)
        out = np.empty(len(rows))
        with config_context(assume_finite=True, skip_parameter_validation=True):
            for i in range(len(rows)):
                out[i] = -np.asarray(ask(rows[i : i + 1]), np.float64).reshape(1)[0]
        return out


def scorer_of(estimator: Any) -> tuple[Scorer, str]:
    """The scorer of a fitted estimator, and which kind it is: ``compiled`` or ``row by row``.

    Raises
    ------
    ScorerRefused
        A known kind whose arrays contradict themselves, or one that cannot score rows at all.
    """
    try:
        return compile_scorer(estimator), "compiled"
    except ScorerRefused as refused:
        method = next((name for name in METHODS if callable(getattr(estimator, name, None))), "")
        if refused.known_kind:
            raise
        if not method:
            raise ScorerRefused(f"{refused}, and it has neither score_samples nor decision_function") from refused
    n_features = int(getattr(estimator, "n_features_in_", 0))
    if not n_features:
        raise ScorerRefused(f"{type(estimator).__name__} is not fitted: it has no n_features_in_")
    return RowByRow(n_features, estimator, method), "row by row"

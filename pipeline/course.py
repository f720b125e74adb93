"""How a metric went since an hour before its incident: the evidence that an open incident keeps, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_ROWS", "Course", "scatter"]

# rows at which two become one
MOST_ROWS = 120
# of noise, the median size of the step from value to value, in its standard deviations
STEP_OF_NOISE = 0.95


@dataclass(slots=True)
class Course:
    """Rows of (value, usual value, what its company does), evenly spaced, oldest first.

    Each is a mean of ``stride`` steps; when there are ``MOST_ROWS``, two become one and the stride doubles. ``series``
    is whose course it is, ``beside`` are those whose days look like its own, in name order; what these do is how far
    they are from what is usual, in the noise of each. ``noise`` is the metric's own, ``lowest`` and ``highest`` are how
    far its day reaches: all three as they were when it began. ``n_rows`` counts the series' rows up to now, and
    ``begun`` is (steps, sums) of a row that is not whole yet.
    """

    series: int
    beside: list[int]
    noise: float
    offset: float
    reach: tuple[float, float] | None
    n_rows: int = 0
    stride: int = 1
    whole: list[tuple[float, float, float]] = field(default_factory=list)
    begun: tuple[int, float, float, float] = (0, 0.0, 0.0, 0.0)

    def take(self, steps: npt.NDArray[np.float64]) -> None:
        """Take in the next steps, shape (n_steps, 3)."""
        for value, usual, company in steps.tolist():
            n, values, usuals, companies = self.begun
            self.begun = (n + 1, values + value, usuals + usual, companies + company)
            if n + 1 == self.stride:
                self.whole.append(_mean(self.begun))
                self.begun = (0, 0.0, 0.0, 0.0)
                self._thin()

    def rows(self) -> npt.NDArray[np.float64]:
        """All rows, the last one of fewer steps perhaps, shape (n_rows, 3)."""
        return np.array([*self.whole, _mean(self.begun)] if self.begun[0] else self.whole).reshape(-1, 3)

    def _thin(self) -> None:
        if len(self.whole) == MOST_ROWS:
            pairs = zip(self.whole[::2], self.whole[1::2], strict=True)
            self.whole = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2) for a, b in pairs]
            self.stride *= 2


def scatter(values: npt.NDArray[np.float64]) -> float:
    """Standard deviation of the noise that goes from value to value as these do; slow changes are none."""
    return float(np.median(np.abs(np.diff(values)))) / STEP_OF_NOISE


def _mean(begun: tuple[int, float, float, float]) -> tuple[float, float, float]:
    n, values, usuals, companies = begun
    return (values / n, usuals / n, companies / n)

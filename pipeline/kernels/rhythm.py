"""The forecast of the next deviation from how the last ones went together."""

from __future__ import annotations

from numba import njit

from pipeline.kernels.layout import LEAN

ORDER = 4  # how many of the last deviations say something about the next


@njit(**LEAN)
def predict(lags, cov, phi):
    """One-step forecast from EW autocovariances by Levinson-Durbin recursion (Brockwell & Davis, 1991, 5.2).

    Parameters
    ----------
    lags : float64[ORDER]
        Latest deviation first.
    cov : float64[ORDER + 1]
        Autocovariances at lags 0 to ORDER.
    phi : float64[ORDER]
        Overwritten with the coefficients.
    """
    error = cov[0] * 1.01
    if error <= 0.0:
        return 0.0
    for m in range(ORDER):
        acc = cov[m + 1]
        for j in range(m):
            acc -= phi[j] * cov[m - j]
        reflection = min(0.999, max(-0.999, acc / error))
        for j in range((m + 1) // 2):
            a, b = phi[j], phi[m - 1 - j]
            phi[j], phi[m - 1 - j] = a - reflection * b, b - reflection * a
        phi[m] = reflection
        error *= 1.0 - reflection * reflection
    forecast = 0.0
    for j in range(ORDER):
        forecast += phi[j] * lags[j]
    return forecast

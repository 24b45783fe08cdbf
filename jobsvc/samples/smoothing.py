"""Exponential smoothing (Holt-Winters) and the forecasters that it has to beat, in plain numpy.

The additive method in its error-correction form; see Hyndman and Athanasopoulos, Forecasting: Principles and Practice,
3rd edition, chapter 8: https://otexts.com/fpp3/expsmooth.html. With ``e`` the error of the one-step forecast
``level + phi trend + season``::

    level  <- level + phi trend + alpha e
    trend  <- phi trend + alpha beta e
    season <- season + (1 - alpha) gamma e

All candidates for (alpha, beta, gamma, phi) run side by side as one vector, and the squared error that each has
collected is known at every point in time. So one pass gives the best candidate *as of* every point, from its past
alone, and with it an honest backtest at no further cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAMPED = (0.8, 0.9, 0.95, 0.98)
SEASONS_TO_START = 2


@dataclass(frozen=True, slots=True)
class Fit:
    """The best candidate as of one point in time.

    Attributes:
        alpha: How fast the level follows, 0 to 1.
        beta: How fast the trend follows, 0 to 1.
        gamma: How fast the season follows, 0 to 1; 0 without a season.
        phi: How much of the trend remains from one step to the next; 1 for a straight line.
        level: Level at that point.
        trend: Change of the level in one step.
        season: What is added in each of the following steps of a season; ``[0.]`` without a season.
        rmse: Root of the mean squared one-step error so far, in the unit of the series.
    """

    alpha: float
    beta: float
    gamma: float
    phi: float
    level: float
    trend: float
    season: Floats
    rmse: float


def candidates(resolution: int, *, seasonal: bool, damped: bool) -> Floats:
    """Return the grid of (alpha, beta, gamma, phi) to try, one column a candidate.

    Args:
        resolution: Values tried for each of alpha, beta and gamma.
        seasonal: Whether gamma matters.
        damped: Whether the trend levels off.
    """
    steps = (np.arange(resolution) + 0.5) / resolution
    gamma = steps if seasonal else np.zeros(1)
    phi = np.array(DAMPED if damped else (1.0,))
    return np.stack([axis.ravel() for axis in np.meshgrid(steps, steps, gamma, phi, indexing="ij")])


def fits(series: Floats, season: int, grid: Floats) -> Iterator[Fit | None]:
    """Walk along the series and yield, after each value, the best candidate so far.

    Args:
        series: Equally spaced values, oldest first; at least ``2 * season`` of them, and more than two.
        season: Steps in a season; 1 means none.
        grid: As from ``candidates``.

    Yields:
        One item a value of ``series``; ``None`` for the values that the start needs.
    """
    alpha, beta, gamma, phi = grid
    start = SEASONS_TO_START * season if season > 1 else 2
    level, trend, seasonal = _start(series[:start], season)
    levels = np.full(grid.shape[1], level)
    trends = np.full(grid.shape[1], trend)
    seasons = np.repeat(seasonal[:, None], grid.shape[1], axis=1)
    squared = np.zeros(grid.shape[1])
    for _ in range(start):
        yield None
    for t in range(start, len(series)):
        now = t % season
        expected = levels + phi * trends
        error = series[t] - (expected + seasons[now])
        squared += error * error
        levels = expected + alpha * error
        trends = phi * trends + alpha * beta * error
        if season > 1:
            seasons[now] += (1 - alpha) * gamma * error
        best = int(np.argmin(squared))
        yield Fit(
            *(float(value) for value in grid[:, best]),
            level=float(levels[best]),
            trend=float(trends[best]),
            season=np.roll(seasons[:, best], -(now + 1)),
            rmse=float(np.sqrt(squared[best] / (t - start + 1))),
        )


def _start(first: Floats, season: int) -> tuple[float, float, Floats]:
    """Take level, trend and season from the first two seasons, as if the series were a line plus a season."""
    if season == 1:
        return float(first[-1]), float(first[-1] - first[0]), np.zeros(1)
    one, two = first[:season], first[season:]
    trend = float(two.mean() - one.mean()) / season
    line = first.mean() + trend * (np.arange(len(first)) - (len(first) - 1) / 2)
    seasonal = (first - line).reshape(SEASONS_TO_START, season).mean(axis=0)
    # The forecast of the next value is level + phi trend + season, so the level is the line at the last value.
    return float(line[-1]), trend, seasonal - seasonal.mean()


def point_forecast(fit: Fit, horizon: int) -> Floats:
    """Continue the series ``horizon`` steps from where ``fit`` stands."""
    damping = np.cumsum(fit.phi ** np.arange(1, horizon + 1))
    return fit.level + damping * fit.trend + np.resize(fit.season, horizon)


def simulate(fit: Fit, horizon: int, paths: int, rng: np.random.Generator) -> Floats:
    """Draw possible futures: the method's own equations, driven by normal errors of the size seen so far.

    Returns:
        One row a path, one column a step.
    """
    season = len(fit.season)
    levels = np.full(paths, fit.level)
    trends = np.full(paths, fit.trend)
    seasons = np.repeat(fit.season[:, None], paths, axis=1)
    drawn = np.empty((paths, horizon))
    for step in range(horizon):
        error = rng.normal(0.0, fit.rmse, paths)
        expected = levels + fit.phi * trends
        drawn[:, step] = expected + seasons[step % season] + error
        levels = expected + fit.alpha * error
        trends = fit.phi * trends + fit.alpha * fit.beta * error
        seasons[step % season] += (1 - fit.alpha) * fit.gamma * error
    return drawn


def seasonal_naive(series: Floats, season: int, horizon: int) -> Floats:
    """Repeat the last season; without one, the last value."""
    return np.resize(series[-season:], horizon)


def steady(dates: npt.NDArray[Any]) -> bool:
    """Whether dates come in steps of about the same length, as months do."""
    gaps = np.array([float((later - earlier) / np.timedelta64(1, "s")) for earlier, later in pairwise(dates)])
    return bool(len(gaps)) and bool((gaps > 0).all()) and float(gaps.max()) <= 1.5 * float(np.median(gaps))

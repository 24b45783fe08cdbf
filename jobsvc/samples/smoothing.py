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

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAMPED = (0.8, 0.9, 0.95, 0.98)
SEASONS_TO_BEGIN = 2


@dataclass(frozen=True, slots=True)
class Fit:
    """One candidate and the state it is in at one point in time.

    Attributes:
        speeds: (alpha, beta, gamma, phi): how fast level, trend and season follow, each 0 to 1, and how much of the
            trend remains from one step to the next.
        level: Level at that point.
        trend: Change of the level in one step.
        season: What is added in each of the following steps of a season; ``[0.]`` without a season.
        rmse: Root of the mean squared one-step error so far, in the unit of the series.
    """

    speeds: tuple[float, float, float, float]
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


def begin(series: Floats, season: int, speeds: tuple[float, float, float, float] = (0, 0, 0, 1)) -> Fit:
    """Take level, trend and season from the first values, as if they were a line plus a season.

    Args:
        series: Equally spaced values, oldest first; at least ``values_to_begin(season)`` of them.
        season: Steps in a season; 1 means none.
        speeds: What the fit shall carry.
    """
    first = series[: values_to_begin(season)]
    if season == 1:
        return Fit(speeds, float(first[-1]), float(first[-1] - first[0]), np.zeros(1), 0.0)
    one, two = first[:season], first[season:]
    trend = float(two.mean() - one.mean()) / season
    line = first.mean() + trend * (np.arange(len(first)) - (len(first) - 1) / 2)
    seasonal = (first - line).reshape(SEASONS_TO_BEGIN, season).mean(axis=0)
    return Fit(speeds, float(line[-1]), trend, seasonal - seasonal.mean(), 0.0)


def values_to_begin(season: int) -> int:
    """Return how many values ``begin`` uses up."""
    return SEASONS_TO_BEGIN * season


def fits(series: Floats, season: int, grid: Floats) -> Iterator[Fit]:
    """Walk along the series and yield, after each value, the candidate that was best so far.

    Args:
        series: Equally spaced values, oldest first; more than ``values_to_begin(season)``.
        season: Steps in a season; 1 means none.
        grid: As from ``candidates``.

    Yields:
        One fit for each value after those that the beginning uses up.
    """
    squared = np.zeros(grid.shape[1])
    for count, (error, levels, trends, seasons) in enumerate(_walk(series, season, grid), 1):
        squared += error * error
        best = int(np.argmin(squared))
        yield Fit(
            speeds=(grid[0, best], grid[1, best], grid[2, best], grid[3, best]),
            level=float(levels[best]),
            trend=float(trends[best]),
            season=np.roll(seasons[:, best], -(count % season)),
            rmse=float(np.sqrt(squared[best] / count)),
        )


def errors(series: Floats, season: int, fit: Fit) -> Floats:
    """Return the one-step errors that the candidate of ``fit`` makes along a series."""
    one = np.array(fit.speeds)[:, None]
    return np.array([error[0] for error, *_ in _walk(series, season, one)])


def _walk(series: Floats, season: int, grid: Floats) -> Iterator[tuple[Floats, Floats, Floats, Floats]]:
    """Let all candidates take in one value after the other; yield their errors, levels, trends and seasons."""
    alpha, beta, gamma, phi = grid
    start = begin(series, season)
    levels = np.full(grid.shape[1], start.level)
    trends = np.full(grid.shape[1], start.trend)
    seasons = np.repeat(start.season[:, None], grid.shape[1], axis=1)
    for t, value in enumerate(series[values_to_begin(season) :]):
        expected = levels + phi * trends
        error = value - (expected + seasons[t % season])
        levels = expected + alpha * error
        trends = phi * trends + alpha * beta * error
        if season > 1:
            seasons[t % season] += (1 - alpha) * gamma * error
        yield error, levels, trends, seasons


def point_forecast(fit: Fit, horizon: int) -> Floats:
    """Continue the series ``horizon`` steps from where ``fit`` stands."""
    damping = np.cumsum(fit.speeds[3] ** np.arange(1, horizon + 1))
    return fit.level + damping * fit.trend + np.resize(fit.season, horizon)


def simulate(fit: Fit, drawn: Floats) -> Floats:
    """Follow the method's equations from where ``fit`` stands, with given one-step errors.

    Args:
        fit: Where to begin, and the speeds.
        drawn: The errors: one row a path, one column a step.

    Returns:
        The values, in the shape of ``drawn``.
    """
    alpha, beta, gamma, phi = fit.speeds
    season = len(fit.season)
    levels = np.full(len(drawn), fit.level)
    trends = np.full(len(drawn), fit.trend)
    seasons = np.repeat(fit.season[:, None], len(drawn), axis=1)
    paths = np.empty_like(drawn)
    for step, error in enumerate(drawn.T):
        expected = levels + phi * trends
        paths[:, step] = expected + seasons[step % season] + error
        levels = expected + alpha * error
        trends = phi * trends + alpha * beta * error
        if season > 1:
            seasons[step % season] += (1 - alpha) * gamma * error
    return paths


def seasonal_naive(series: Floats, season: int, horizon: int) -> Floats:
    """Repeat the last season; without one, the last value."""
    return np.resize(series[-season:], horizon)

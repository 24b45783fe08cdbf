"""A forecast with its interval and its backtest, as work that can be done in small steps.

The interval counts two kinds of doubt: that of the future, by simulating it, and that of the method's speeds, by
estimating them again on simulated pasts. The second is the bootstrap of Pascual, Romo and Ruiz (Journal of Time Series
Analysis 25, 2004): simulate a past from the fitted model, fit that, then let those speeds run over the real past and on
into the future.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from jobsvc.samples import smoothing
from jobsvc.samples.smoothing import Fit, Floats

FUTURES = 5_000
BACKTEST_FUTURES = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What to forecast and how; the attributes are those of the handler ``analytics.forecast``."""

    series: Floats
    horizon: int
    season: int
    damped: bool
    confidence: float
    origins: int
    resolution: int
    replicas: int
    seed: int

    @property
    def first_origin(self) -> int:
        """How many values the first forecast of the backtest knows."""
        return max(smoothing.values_to_begin(self.season) + 1, self.last_origin - self.origins + 1)

    @property
    def last_origin(self) -> int:
        """How many values the last forecast of the backtest knows, so that its whole horizon can be compared."""
        return len(self.series) - self.horizon

    @property
    def steps(self) -> int:
        """How many steps ``Forecaster.work`` takes."""
        return (len(self.series) - smoothing.values_to_begin(self.season)) * (1 + self.replicas)


@dataclass
class Backtest:
    """How good forecasts from earlier points in time were.

    Attributes:
        mae: Mean absolute error of each forecast.
        naive_mae: The same for the naive forecast.
        inside: Share of the values that were inside the interval, of each forecast.
    """

    mae: list[float] = field(default_factory=list)
    naive_mae: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)


class Forecaster:
    """Carry out a plan. After ``work`` has been used up, the attributes hold the answer.

    Attributes:
        fit: The best candidate at the end of the series.
        backtest: How good earlier forecasts were.
        futures: Possible futures, one a row.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rng = np.random.default_rng(plan.seed)
        self._grid = smoothing.candidates(plan.resolution, seasonal=plan.season > 1, damped=plan.damped)
        self.fit: Fit
        self.backtest = Backtest()
        self.futures: Floats

    @property
    def candidates(self) -> int:
        """How many combinations of speeds are compared."""
        return int(self._grid.shape[1])

    def work(self) -> Iterator[None]:
        """Do the work, in ``plan.steps`` steps of some milliseconds each."""
        plan = self._plan
        fits = smoothing.fits(plan.series, plan.season, self._grid)
        for known, fit in enumerate(fits, smoothing.values_to_begin(plan.season) + 1):
            if plan.first_origin <= known <= plan.last_origin:
                self._look_back(known, fit)
            self.fit = fit
            yield
        pasts = [self.fit]
        for _ in range(plan.replicas):
            yield from self._refit(pasts)
        paths = FUTURES // len(pasts) + 1
        self.futures = np.concatenate([self._future(fit, paths) for fit in pasts])

    def interval(self) -> tuple[Floats, Floats]:
        """Return the lower and the upper end for each step of the horizon."""
        return self._middle(self.futures)

    def _refit(self, pasts: list[Fit]) -> Iterator[None]:
        """Estimate the speeds again on a simulated past and append where they lead on the real one."""
        plan = self._plan
        residuals = smoothing.errors(plan.series, plan.season, self.fit)
        start = smoothing.begin(plan.series, plan.season, self.fit.speeds)
        drawn = self._rng.choice(residuals, (1, len(residuals)))
        simulated = smoothing.simulate(start, drawn)[0]
        past = np.concatenate([plan.series[: smoothing.values_to_begin(plan.season)], simulated])
        speeds = self.fit.speeds
        for fit in smoothing.fits(past, plan.season, self._grid):
            speeds = fit.speeds
            yield
        *_, last = smoothing.fits(plan.series, plan.season, np.array(speeds)[:, None])
        pasts.append(last)

    def _look_back(self, known: int, fit: Fit) -> None:
        plan = self._plan
        came = plan.series[known : known + plan.horizon]
        naive = smoothing.seasonal_naive(plan.series[:known], plan.season, plan.horizon)
        low, high = self._middle(self._future(fit, BACKTEST_FUTURES))
        self.backtest.mae.append(float(np.abs(smoothing.point_forecast(fit, plan.horizon) - came).mean()))
        self.backtest.naive_mae.append(float(np.abs(naive - came).mean()))
        self.backtest.inside.append(float(((low <= came) & (came <= high)).mean()))

    def _future(self, fit: Fit, paths: int) -> Floats:
        return smoothing.simulate(fit, self._rng.normal(0.0, fit.rmse, (paths, self._plan.horizon)))

    def _middle(self, paths: Floats) -> tuple[Floats, Floats]:
        tail = (1 - self._plan.confidence) / 2
        low, high = np.quantile(paths, [tail, 1 - tail], axis=0)
        return low, high

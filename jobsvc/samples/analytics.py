"""Three jobs of an analyst's day: profile a table, put an interval around a mean, forecast a series.

All of them read the tables of ``jobsvc.samples.tables``, tell how far they are, stop soon after they are told to, and
give the same answer each time they are run.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from jobsvc import Fail, current_job, handler, track
from jobsvc.samples import tables
from jobsvc.samples.figures import figure, label
from jobsvc.samples.forecasting import Backtest, Forecaster, Plan
from jobsvc.samples.smoothing import Floats, point_forecast

QUEUE = "analytics"
MAX_GROUPS = 200
VALUES_AT_ONCE = 1_000_000
MAX_SERIES = 5_000

Name = Annotated[str, Field(min_length=1, max_length=300)]
Filter = dict[str, str | int | float]


@handler("analytics.profile", queue=QUEUE, timeout=timedelta(minutes=5))
def profile(
    dataset: Name,
    columns: list[str] | None = None,
    top: Annotated[int, Field(ge=0, le=100)] = 5,
) -> dict[str, Any]:
    """Profile a table: for each column its type, gaps, distinct values, quantiles and most frequent values.

    Args:
        dataset: Name of a shipped table, such as ``cars``, or path of a CSV file in the worker's data folder.
        columns: Only these columns. All by default.
        top: How many of the most frequent values to name.

    Returns:
        The number of rows, and one entry a column with ``name``, ``type``, ``missing``, ``distinct``, ``top`` and,
        where they make sense, ``mean``, ``std`` and ``quantiles`` (0, 5, 25, 50, 75, 95 and 100 %), or ``first`` and
        ``last`` of dates.
    """
    table = tables.load(dataset)
    chosen = [tables.column(table, name) for name in columns or table.columns]
    described = [_describe(values, top) for values in track(chosen, unit="columns", step="profile")]
    return {"dataset": dataset, "rows": len(table), "columns": described}


def _describe(values: pd.Series[Any], top: int) -> dict[str, Any]:
    present = values.dropna()
    kind = tables.kind(values)
    counts = present.value_counts()
    described: dict[str, Any] = {
        "name": str(values.name),
        "type": kind,
        "missing": int(values.isna().sum()),
        "distinct": len(counts),
        "top": [{"value": label(value), "count": int(count)} for value, count in counts.head(top).items()],
    }
    if kind == "date" and len(present):
        described |= {"first": label(present.min()), "last": label(present.max())}
    if kind in ("integer", "number") and len(present):
        percents = (0, 5, 25, 50, 75, 95, 100)
        quantiles = np.percentile(present.to_numpy(dtype=float), percents)
        described |= {
            "mean": figure(present.mean()),
            "std": figure(present.std()),
            "quantiles": {
                str(percent): figure(value) for percent, value in zip(percents, quantiles, strict=True)
            },
        }
    return described


@handler("analytics.bootstrap_mean", queue=QUEUE, timeout=timedelta(minutes=5))
def bootstrap_mean(
    dataset: Name,
    column: Name,
    by: Name | None = None,
    where: Filter | None = None,
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 1_000,
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    seed: Annotated[int, Field(ge=0)] = 0,
) -> dict[str, Any]:
    """Put a bootstrap confidence interval around the mean of a column, for each group.

    The rows of a group are drawn again, with replacement, ``resamples`` times; the interval holds the middle
    ``confidence`` of the means (the percentile method). It takes the rows to be independent of each other.

    Args:
        dataset: Name of a shipped table, such as ``cars``, or path of a CSV file in the worker's data folder.
        column: The numbers to average.
        by: One interval for each value of this column. A date may be followed by a part: ``date.month``.
        where: Only rows with these values, for example ``{"Origin": "Japan"}``.
        resamples: More make the interval steadier and take longer.
        confidence: Share of the means inside the interval.
        seed: The same seed gives the same interval.

    Returns:
        ``groups``, highest mean first: ``group``, ``rows``, ``mean``, ``low``, ``high``, ``std``.
    """
    table = tables.select(tables.load(dataset), where)
    groups = _groups(table, column, by)
    means = [np.empty(resamples) for _ in groups]
    done = 0
    for index, start, size in _portions([len(values) for _, values in groups], resamples):
        # Each portion has its own generator, so the answer does not depend on the order of the work.
        rng = np.random.default_rng((seed, index, start))
        values = groups[index][1]
        means[index][start : start + size] = values[rng.integers(0, len(values), (size, len(values)))].mean(
            axis=1
        )
        done += size
        job = current_job(default=None)
        if job is not None:
            step = f"{by} = {groups[index][0]}" if by else "resample"
            job.progress(step=step, completed=done, total=resamples * len(groups), unit="resamples")
    tail = (1 - confidence) / 2
    answer = [
        {"group": name, "rows": len(values), "mean": figure(values.mean())}
        | dict(zip(("low", "high"), map(figure, np.quantile(drawn, [tail, 1 - tail])), strict=True))
        | {"std": figure(values.std(ddof=1)) if len(values) > 1 else None}
        for (name, values), drawn in zip(groups, means, strict=True)
    ]
    answer.sort(key=lambda group: -float(group["mean"] or 0))
    return {"dataset": dataset, "column": column, "by": by, "confidence": confidence, "groups": answer}


def _groups(table: pd.DataFrame, column: str, by: str | None) -> list[tuple[Any, Floats]]:
    values = tables.numeric_column(table, column)
    if values.empty:
        raise Fail(f"column {column!r} has no values in these rows", code="NO_ROWS")
    if by is None:
        return [("all", values.to_numpy())]
    keys = tables.column(table, by).loc[values.index]
    if keys.nunique() > MAX_GROUPS:
        raise Fail(
            f"{by!r} has {keys.nunique()} values; at most {MAX_GROUPS} make sense here",
            code="TOO_MANY_GROUPS",
        )
    return [(label(key), group.to_numpy()) for key, group in values.groupby(keys)]


def _portions(rows: list[int], resamples: int) -> Iterator[tuple[int, int, int]]:
    """Cut the work so that each portion fits into memory and takes well below a second."""
    for index, count in enumerate(rows):
        size = max(1, min(resamples, VALUES_AT_ONCE // count))
        for start in range(0, resamples, size):
            yield index, start, min(size, resamples - start)


@handler("analytics.forecast", queue=QUEUE, timeout=timedelta(minutes=5))
def forecast(
    dataset: Name,
    column: Name,
    date: Name = "date",
    where: Filter | None = None,
    horizon: Annotated[int, Field(ge=1, le=120)] = 12,
    season: Annotated[int, Field(ge=1, le=366)] = 12,
    trend: Literal["damped", "straight"] = "damped",
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.8,
    origins: Annotated[int, Field(ge=1, le=200)] = 36,
    resolution: Annotated[int, Field(ge=2, le=60)] = 16,
    replicas: Annotated[int, Field(ge=0, le=500)] = 0,
    seed: Annotated[int, Field(ge=0)] = 0,
) -> dict[str, Any]:
    """Forecast a series by exponential smoothing (Holt-Winters), and say how good such forecasts were.

    Level, trend and season are followed at the speeds that suit the past best. The backtest goes back to each of the
    last ``origins`` points in time, forecasts from what was known then, and compares with what came; beside it stands
    the naive forecast, which repeats the last season.

    Args:
        dataset: Name of a shipped table, such as ``us-employment``, or path of a CSV file in the data folder.
        column: The numbers to forecast.
        date: The column that orders them.
        where: Only rows with these values, for example ``{"symbol": "AAPL"}``.
        horizon: Steps to forecast.
        season: Steps after which the pattern repeats: 12 for months in a year, 1 for none.
        trend: ``damped`` levels off, ``straight`` goes on for ever.
        confidence: Share of the futures that should lie between ``low`` and ``high``.
        origins: Points in time of the backtest; fewer when the series is short.
        resolution: Values tried for each speed; time grows with its third power.
        replicas: Estimate the speeds again on this many simulated pasts, so that the interval also covers that they
            are not known exactly. 0 takes them as known.
        seed: The same seed gives the same interval.

    Returns:
        ``forecast`` (``date``, ``value``, ``low``, ``high``), ``change_percent`` from the last value to the end of
        the forecast, the ``model``, and the ``backtest`` with its mean absolute error (``mae``), the naive one's,
        ``skill_percent`` (100 is perfect, 0 is as good as naive) and how often the interval held the truth.
    """
    series, dates = _series(tables.select(tables.load(dataset), where), column, date)
    plan = Plan(series, horizon, season, trend == "damped", confidence, origins, resolution, replicas, seed)
    if plan.first_origin > plan.last_origin:
        raise Fail(
            f"{len(series)} values are too few to forecast {horizon} steps with a season of {season}",
            code="SERIES_TOO_SHORT",
        )
    forecaster = Forecaster(plan)
    for _ in track(
        forecaster.work(), total=plan.steps, unit="points", step=f"fit {forecaster.candidates:,} models"
    ):
        pass
    return {
        "dataset": dataset,
        "column": column,
        "last": {"date": label(dates.iloc[-1]), "value": figure(series[-1])},
        **_outlook(forecaster, series[-1], _dates_after(dates, horizon)),
        "model": {
            "trend": trend,
            **dict(zip(("alpha", "beta", "gamma", "phi"), map(figure, forecaster.fit.speeds), strict=True)),
        },
        "backtest": _backtest(forecaster.backtest),
    }


def _outlook(forecaster: Forecaster, last: float, dates: list[Any]) -> dict[str, Any]:
    points = point_forecast(forecaster.fit, len(dates))
    low, high = forecaster.interval()
    return {
        "forecast": [
            {"date": label(day), "value": figure(value), "low": figure(least), "high": figure(most)}
            for day, value, least, most in zip(dates, points, low, high, strict=True)
        ],
        "change_percent": {
            name: figure(100 * (end / last - 1)) if last else None
            for name, end in (("value", points[-1]), ("low", low[-1]), ("high", high[-1]))
        },
    }


def _backtest(backtest: Backtest) -> dict[str, float | int | None]:
    mae, naive = float(np.mean(backtest.mae)), float(np.mean(backtest.naive_mae))
    return {
        "origins": len(backtest.mae),
        "mae": figure(mae),
        "naive_mae": figure(naive),
        "skill_percent": figure(100 * (1 - mae / naive)) if naive else None,
        "inside_interval_percent": figure(100 * np.mean(backtest.inside)),
    }


def _series(table: pd.DataFrame, column: str, date: str) -> tuple[Floats, pd.Series[Any]]:
    values = tables.numeric_column(table, column)
    days = tables.column(table, date).loc[values.index].sort_values(kind="stable")
    if days.duplicated().any():
        raise Fail(
            f"several rows have the same {date!r}: choose one series with `where`",
            code="NOT_A_SERIES",
        )
    if len(days) > MAX_SERIES:
        raise Fail(
            f"{len(days)} values are more than the {MAX_SERIES} that are forecast", code="SERIES_TOO_LONG"
        )
    return values.loc[days.index].to_numpy(), days


def _dates_after(days: pd.Series[Any], horizon: int) -> list[Any]:
    """Continue the calendar or the numbers that order a series; count from 1 where neither does."""
    steps = range(1, horizon + 1)
    last = days.iloc[-1]
    kind = tables.kind(days)
    if kind in ("integer", "number"):
        return [last + days.diff().median() * step for step in steps]
    if kind != "date":
        return list(steps)
    months = (days.dt.year * 12 + days.dt.month).diff().dropna().unique()
    if len(months) == 1 and months[0] > 0:
        return [last + pd.DateOffset(months=int(months[0]) * step) for step in steps]
    return [last + days.diff().median() * step for step in steps]

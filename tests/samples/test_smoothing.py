"""The forecasting method against a plain implementation, closed forms, and what it must not see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jobsvc.samples import smoothing
from jobsvc.samples.forecasting import Forecaster, Plan

SERIES = st.lists(st.floats(-1e4, 1e4), min_size=12, max_size=30).map(np.array)
SPEEDS = st.tuples(*[st.floats(0.01, 0.99)] * 3, st.sampled_from([0.8, 0.98, 1.0]))


def by_hand(
    series: np.ndarray, season: int, speeds: tuple[float, float, float, float]
) -> tuple[list[float], float]:
    """Follow the textbook's component form one number at a time; return the errors and the next forecast."""
    alpha, beta, gamma, phi = speeds
    start = smoothing.begin(series, season)
    level, trend, seasons = start.level, start.trend, list(start.season)
    errors = []
    for t, value in enumerate(series[2 * season :]):
        old = seasons[t % season]
        line = level + phi * trend
        errors.append(value - line - old)
        new_level = alpha * (value - old) + (1 - alpha) * line
        trend = beta * (new_level - level) + (1 - beta) * phi * trend
        if season > 1:
            seasons[t % season] = gamma * (value - new_level) + (1 - gamma) * old
        level = new_level
    return errors, level + phi * trend + seasons[(len(series) - 2 * season) % season]


@given(series=SERIES, season=st.sampled_from([1, 2, 4]), speeds=SPEEDS)
@settings(max_examples=100, deadline=None)
def test_fits_agree_with_the_textbook_form(
    series: np.ndarray, season: int, speeds: tuple[float, float, float, float]
) -> None:
    expected_errors, expected_next = by_hand(series, season, speeds)

    *_, fit = smoothing.fits(series, season, np.array(speeds)[:, None])

    assert_allclose(smoothing.errors(series, season, fit), expected_errors, rtol=1e-9, atol=1e-6)
    assert_allclose(smoothing.point_forecast(fit, 1)[0], expected_next, rtol=1e-9, atol=1e-6)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean(np.square(expected_errors))), rel=1e-9, abs=1e-9)


def test_fits_choose_the_candidate_with_the_smallest_error() -> None:
    series = np.cumsum(np.random.default_rng(1).normal(size=80))
    grid = smoothing.candidates(5, seasonal=True, damped=True)

    *_, best = smoothing.fits(series, 4, grid)

    every = [np.mean(np.square(by_hand(series, 4, tuple(column))[0])) for column in grid.T]
    assert best.rmse**2 == pytest.approx(min(every))
    assert best.speeds == tuple(grid[:, int(np.argmin(every))])


@given(series=SERIES, cut=st.integers(9, 11), season=st.sampled_from([1, 4]))
@settings(max_examples=50, deadline=None)
def test_fits_know_nothing_of_what_comes_later(series: np.ndarray, cut: int, season: int) -> None:
    grid = smoothing.candidates(3, seasonal=True, damped=False)
    other = np.concatenate([series[:cut], np.zeros(5)])
    taken = cut - smoothing.values_to_begin(season)

    then = list(smoothing.fits(series, season, grid))[taken - 1]
    otherwise = list(smoothing.fits(other, season, grid))[taken - 1]

    assert (then.speeds, then.level, then.trend, list(then.season)) == (
        otherwise.speeds,
        otherwise.level,
        otherwise.trend,
        list(otherwise.season),
    )


def test_point_forecast_continues_a_line_with_a_season_exactly() -> None:
    pattern = np.array([3.0, -1.0, -4.0, 2.0])
    series = 10 + 0.5 * np.arange(40) + np.resize(pattern, 40)

    *_, fit = smoothing.fits(series[:32], 4, smoothing.candidates(4, seasonal=True, damped=False))

    assert_allclose(smoothing.point_forecast(fit, 8), series[32:], atol=1e-9)
    assert fit.rmse == pytest.approx(0, abs=1e-9)


def test_simulate_spreads_as_the_closed_form_says() -> None:
    # Without trend and season the variance h steps ahead is sigma^2 (1 + (h - 1) alpha^2).
    alpha, sigma, horizon = 0.4, 2.0, 10
    fit = smoothing.Fit((alpha, 0.0, 0.0, 1.0), level=100.0, trend=0.0, season=np.zeros(1), rmse=sigma)
    drawn = np.random.default_rng(5).normal(0, sigma, (200_000, horizon))

    paths = smoothing.simulate(fit, drawn)

    expected = sigma**2 * (1 + np.arange(horizon) * alpha**2)
    assert_allclose(paths.var(axis=0), expected, rtol=0.02)
    assert_allclose(paths.mean(axis=0), 100, atol=0.05)


def test_simulate_without_errors_is_the_point_forecast() -> None:
    fit = smoothing.Fit(
        (0.3, 0.2, 0.1, 0.9), level=5.0, trend=1.5, season=np.array([1.0, -1.0, 0.5]), rmse=1.0
    )

    assert_allclose(smoothing.simulate(fit, np.zeros((1, 7)))[0], smoothing.point_forecast(fit, 7))


def test_seasonal_naive_repeats_the_last_season() -> None:
    assert list(smoothing.seasonal_naive(np.arange(10.0), 4, 6)) == [6, 7, 8, 9, 6, 7]
    assert list(smoothing.seasonal_naive(np.arange(10.0), 1, 2)) == [9, 9]


@pytest.mark.parametrize("replicas", [0, 3])
def test_forecaster_takes_as_many_steps_as_it_says(replicas: int) -> None:
    series = np.cumsum(np.random.default_rng(2).normal(size=60))
    plan = Plan(series, 6, 4, damped=True, confidence=0.8, origins=5, resolution=3, replicas=replicas, seed=0)
    forecaster = Forecaster(plan)

    assert len(list(forecaster.work())) == plan.steps
    assert len(forecaster.backtest.mae) == 5
    low, high = forecaster.interval()
    assert (low < high).all()


def test_forecaster_interval_holds_as_often_as_asked_for() -> None:
    """Random walks, whose best forecast is known, end inside the 80 % interval 80 % of the time."""
    inside = []
    for seed in range(120):
        walk = np.cumsum(np.random.default_rng(seed).normal(size=83))
        plan = Plan(
            walk[:80], 3, 1, damped=True, confidence=0.8, origins=1, resolution=10, replicas=5, seed=seed
        )
        forecaster = Forecaster(plan)
        for _ in forecaster.work():
            pass
        low, high = forecaster.interval()
        inside.append(((low <= walk[80:]) & (walk[80:] <= high)).mean())

    assert np.mean(inside) == pytest.approx(0.8, abs=0.1)

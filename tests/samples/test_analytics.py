"""The sample handlers, called as functions, against numbers that were found another way."""

import csv
import json
import statistics
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vega_datasets import local_data

from jobsvc import Fail
from jobsvc.samples import analytics, tables

INLINE_LIMIT_BYTES = 262_144
INDUSTRIES = [
    name
    for name in tables.load("us-employment").columns
    if name not in ("month", "nonfarm_change", "nonfarm")
]


def rows_of(name: str) -> list[dict[str, str]]:
    with Path(getattr(local_data, name.replace("-", "_")).filepath).open(
        newline="", encoding="utf-8"
    ) as file:
        return list(csv.DictReader(file))


def data_folder(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> None:
    monkeypatch.setenv("JOBSVC_DATA_FOLDER", str(folder))
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)


def code_of(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(Fail) as failure:
        call(*arguments, **options)
    return str(failure.value.code)


def test_profile_agrees_with_the_standard_library() -> None:
    rows = rows_of("seattle-weather")
    wind = [float(row["wind"]) for row in rows]

    columns = {column["name"]: column for column in analytics.profile("seattle-weather")["columns"]}

    assert columns["wind"]["mean"] == pytest.approx(statistics.mean(wind), rel=1e-5)
    assert columns["wind"]["std"] == pytest.approx(statistics.stdev(wind), rel=1e-5)
    assert columns["wind"]["quantiles"]["50"] == pytest.approx(statistics.median(wind))
    quarters = statistics.quantiles(wind, n=4, method="inclusive")
    assert columns["wind"]["quantiles"]["75"] == pytest.approx(quarters[2])
    expected = Counter(row["weather"] for row in rows).most_common(5)
    assert [(entry["value"], entry["count"]) for entry in columns["weather"]["top"]] == expected
    assert columns["date"] | {"top": []} == {
        "name": "date",
        "type": "date",
        "missing": 0,
        "distinct": 1461,
        "top": [],
        "first": "2012-01-01",
        "last": "2015-12-31",
    }


def test_profile_counts_what_is_missing() -> None:
    cars = json.loads(Path(local_data.cars.filepath).read_text())

    (column,) = analytics.profile("cars", columns=["Miles_per_Gallon"])["columns"]

    assert column["missing"] == sum(car["Miles_per_Gallon"] is None for car in cars) == 8


@pytest.mark.parametrize("name", tables.dataset_names())
def test_profile_of_every_table_is_compact_json(name: str) -> None:
    text = json.dumps(analytics.profile(name, top=100), allow_nan=False)

    assert len(text) < INLINE_LIMIT_BYTES


def test_profile_of_odd_columns_has_no_nan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_folder(monkeypatch, tmp_path, odd="empty,one,infinite,flag\n,1,inf,True\n,,2,False\n")

    columns = analytics.profile("odd.csv")["columns"]

    json.dumps(columns, allow_nan=False)
    assert [column["type"] for column in columns] == ["number", "integer", "integer", "boolean"]
    assert columns[1]["std"] is None
    assert (columns[2]["missing"], columns[2]["mean"]) == (1, 2.0)


def test_bootstrap_mean_finds_the_exact_interval_of_a_tiny_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    data_folder(monkeypatch, tmp_path, tiny="x\n" + "\n".join(map(str, values)))
    exact = [statistics.mean(drawn) for drawn in product(values, repeat=5)]

    answer = analytics.bootstrap_mean("tiny.csv", "x", resamples=200_000, confidence=0.9)

    (group,) = answer["groups"]
    assert group["mean"] == 6.2
    assert group["low"] == pytest.approx(np.quantile(exact, 0.05), abs=0.11)
    assert group["high"] == pytest.approx(np.quantile(exact, 0.95), abs=0.11)


def test_bootstrap_mean_of_many_rows_is_the_normal_interval() -> None:
    highs = [float(row["temp_max"]) for row in rows_of("seattle-weather")]
    center, error = statistics.mean(highs), statistics.pstdev(highs) / len(highs) ** 0.5
    z = statistics.NormalDist().inv_cdf(0.975)

    (group,) = analytics.bootstrap_mean("seattle-weather", "temp_max", resamples=20_000)["groups"]

    assert group["rows"] == 1461
    assert group["low"] == pytest.approx(center - z * error, abs=0.02)
    assert group["high"] == pytest.approx(center + z * error, abs=0.02)


def test_bootstrap_mean_by_group_orders_the_groups_by_mean() -> None:
    by_month: dict[int, list[float]] = {}
    for row in rows_of("seattle-weather"):
        by_month.setdefault(int(row["date"][5:7]), []).append(float(row["precipitation"]))

    groups = analytics.bootstrap_mean("seattle-weather", "precipitation", by="date.month")["groups"]

    expected = sorted(((statistics.mean(values), month) for month, values in by_month.items()), reverse=True)
    assert [group["group"] for group in groups] == [month for _, month in expected]
    assert [group["mean"] for group in groups] == pytest.approx([mean for mean, _ in expected], rel=1e-5)
    assert all(group["low"] < group["mean"] < group["high"] for group in groups)


def test_bootstrap_mean_is_reproducible_and_follows_its_seed() -> None:
    first = analytics.bootstrap_mean("cars", "Horsepower", by="Origin", seed=1)

    assert analytics.bootstrap_mean("cars", "Horsepower", by="Origin", seed=1) == first
    assert analytics.bootstrap_mean("cars", "Horsepower", by="Origin", seed=2) != first


def test_bootstrap_mean_does_not_depend_on_how_the_work_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    portions = list(analytics._portions([400, 2], 1_000))
    monkeypatch.setattr(analytics, "VALUES_AT_ONCE", 10_000)
    smaller = list(analytics._portions([400, 2], 1_000))

    assert len(smaller) > len(portions)
    for cut in (portions, smaller):
        covered = [(index, at) for index, start, size in cut for at in range(start, start + size)]
        assert covered == [(index, at) for index in (0, 1) for at in range(1_000)]


def test_bootstrap_mean_of_one_row_has_no_spread() -> None:
    (group,) = analytics.bootstrap_mean("cars", "Weight_in_lbs", where={"Name": "audi fox"})["groups"]

    assert (group["rows"], group["std"]) == (1, None)
    assert group["low"] == group["mean"] == group["high"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"column": "nope"}, "UNKNOWN_COLUMN"),
        ({"column": "Origin"}, "NOT_NUMERIC"),
        ({"column": "Horsepower", "by": "nope"}, "UNKNOWN_COLUMN"),
        ({"column": "Horsepower", "by": "Name"}, "TOO_MANY_GROUPS"),
        ({"column": "Horsepower", "where": {"Origin": "Mars"}}, "NO_ROWS"),
        (
            {"column": "Horsepower", "where": {"Name": "ford pinto", "Cylinders": 4, "Weight_in_lbs": 2046}},
            "NO_ROWS",
        ),
    ],
)
def test_bootstrap_mean_says_what_is_wrong(arguments: dict[str, Any], code: str) -> None:
    assert code_of(analytics.bootstrap_mean, "cars", **arguments) == code


def test_forecast_continues_a_straight_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{2000 + n // 12}-{n % 12 + 1:02}-01,{100 + 2 * n}" for n in range(60)]
    data_folder(monkeypatch, tmp_path, line="date,x\n" + "\n".join(lines))

    answer = analytics.forecast("line.csv", "x", trend="straight", season=1, horizon=3)

    assert [entry["date"] for entry in answer["forecast"]] == ["2005-01-01", "2005-02-01", "2005-03-01"]
    assert [entry["value"] for entry in answer["forecast"]] == pytest.approx([220, 222, 224])
    assert answer["change_percent"]["value"] == pytest.approx(100 * (224 / 218 - 1), rel=1e-4)
    assert answer["backtest"]["mae"] == pytest.approx(0, abs=1e-9)
    assert answer["backtest"]["skill_percent"] == pytest.approx(100)
    assert answer["backtest"]["naive_mae"] == pytest.approx((2 + 4 + 6) / 3)


def test_forecast_of_employment_beats_the_naive_one_in_every_industry() -> None:
    skills = {
        name: analytics.forecast("us-employment", name, date="month")["backtest"]["skill_percent"]
        for name in INDUSTRIES
    }

    assert min(skills.values()) > 0, skills
    assert statistics.median(skills.values()) > 40


def test_forecast_is_reproducible_and_compact() -> None:
    options: dict[str, Any] = {"date": "month", "horizon": 24, "replicas": 2, "resolution": 6}

    first = analytics.forecast("us-employment", "construction", **options)

    assert analytics.forecast("us-employment", "construction", **options) == first
    assert analytics.forecast("us-employment", "construction", seed=1, **options) != first
    assert len(json.dumps(first, allow_nan=False)) < 4_000
    assert first["forecast"][-1]["date"] == "2017-12-01"
    assert all(entry["low"] < entry["value"] < entry["high"] for entry in first["forecast"])


def test_forecast_naive_error_is_that_of_repeating_the_last_year() -> None:
    values = [float(row["nonfarm"]) for row in rows_of("us-employment")]
    expected = [
        abs(values[at + step] - values[at + step - 12])
        for at in range(len(values) - 12 - 35, len(values) - 11)
        for step in range(12)
    ]

    backtest = analytics.forecast("us-employment", "nonfarm", date="month", resolution=4)["backtest"]

    assert backtest["origins"] == 36
    assert backtest["naive_mae"] == pytest.approx(statistics.mean(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"dataset": "stocks", "column": "price"}, "NOT_A_SERIES"),
        (
            {"dataset": "stocks", "column": "price", "where": {"symbol": "IBM"}, "date": "day"},
            "UNKNOWN_COLUMN",
        ),
        ({"dataset": "stocks", "column": "symbol", "where": {"symbol": "IBM"}}, "NOT_NUMERIC"),
        (
            {"dataset": "us-employment", "column": "nonfarm", "date": "month", "season": 60},
            "SERIES_TOO_SHORT",
        ),
        ({"dataset": "seattle-temps", "column": "temp"}, "SERIES_TOO_LONG"),
        ({"dataset": "nope", "column": "x"}, "UNKNOWN_DATASET"),
    ],
)
def test_forecast_says_what_is_wrong(arguments: dict[str, Any], code: str) -> None:
    assert code_of(analytics.forecast, **arguments) == code


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2020-01-31", "2020-02-29", "2020-03-31"], ["2020-04-30", "2020-05-31"]),
        (["2020-01-01", "2021-01-01", "2022-01-01"], ["2023-01-01", "2024-01-01"]),
        (["2020-01-01", "2020-01-08", "2020-01-15"], ["2020-01-22", "2020-01-29"]),
        (["1990", "1995", "2000"], [2005, 2010]),
    ],
)
def test_forecast_continues_the_calendar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dates: list[str], expected: list[Any]
) -> None:
    data_folder(monkeypatch, tmp_path, dates="when\n" + "\n".join(dates))

    following = analytics._dates_after(tables.load("dates.csv")["when"], 2)

    assert [analytics.label(day) for day in following] == expected

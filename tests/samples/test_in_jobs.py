"""The sample handlers as jobs: in a worker's child process, through a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from jobsvc.samples import analytics
from jobsvc_sdk import Client, JobCancelled, JobFailed, ParamError, connect
from tests.stack import Stack
from tests.waiting import until


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Client]:
    with connect(stack.address) as client:
        yield client


def test_job_gives_the_result_of_the_function(client: Client) -> None:
    arguments = {"dataset": "us-employment", "column": "construction", "date": "month", "replicas": 3}

    job = client.submit("analytics.forecast", arguments)

    assert job.result(timeout=60) == analytics.forecast(**arguments)


def test_job_types_describe_their_arguments(client: Client) -> None:
    types = {one.name: one for one in client.job_types()}

    assert {"analytics.profile", "analytics.bootstrap_mean", "analytics.forecast"} <= set(types)
    assert "trend: 'damped' | 'straight' = 'damped'" in str(client.types)
    with pytest.raises(ParamError, match="trend"):
        client.types.analytics.forecast(dataset="stocks", column="price", trend="upwards")
    with pytest.raises(ParamError, match="resamples"):
        client.submit(
            "analytics.bootstrap_mean", {"dataset": "cars", "column": "Horsepower", "resamples": 10**9}
        )


def test_job_reads_a_file_of_the_data_folder_and_none_outside(client: Client, stack: Stack) -> None:
    (stack.data_folder / "sales.csv").write_text("day,sold\n2026-01-01,3\n2026-01-02,5\n")
    (stack.data_folder.parent / "secret.csv").write_text("password\nhunter2\n")

    assert client.types.analytics.profile("sales.csv").result(timeout=60)["rows"] == 2
    with pytest.raises(JobFailed) as failure:
        client.types.analytics.profile("../secret.csv").result(timeout=60)

    assert failure.value.error.code == "FILE_NOT_AVAILABLE"
    assert "hunter2" not in str(failure.value)


def test_job_with_a_wrong_column_fails_at_once_and_names_the_columns(client: Client) -> None:
    job = client.types.analytics.bootstrap_mean(dataset="cars", column="Horsepowers")

    with pytest.raises(JobFailed, match="did you mean Horsepower") as failure:
        job.result(timeout=60)

    assert failure.value.error.code == "UNKNOWN_COLUMN"
    assert job.attempt == 1


def test_job_shows_progress_and_stops_within_a_second_of_cancel(client: Client) -> None:
    job = client.types.analytics.bootstrap_mean(dataset="airports", column="latitude", resamples=1_000_000)
    until(lambda: (job.progress or 0) > 0, timeout_s=60)

    asked = time.monotonic()
    job.cancel("seen enough")
    with pytest.raises(JobCancelled):
        job.result(timeout=30)

    assert job.status.unit == "resamples"
    assert job.status.step == "resample"
    # The attempt ends within its grace of 0.5 s; the rest is the way there and back on a busy machine.
    assert time.monotonic() - asked < 3

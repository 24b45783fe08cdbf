"""Tables that handlers may read, and files that they must not."""

import csv
import json
import os
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vega_datasets import local_data

from jobsvc import Fail
from jobsvc.samples import tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with honest files, and traps that lead to ``secret`` beside it."""
    around = tmp_path_factory.mktemp("around")
    folder = around / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "good.csv").write_text("inside\n1\n")
    (folder / "sub" / "good.csv").write_text("inside\n2\n")
    (around / "secret").mkdir()
    (around / "secret" / "good.csv").write_text("outside\n3\n")
    (around / "secret.csv").write_text("outside\n4\n")
    (around / "data-2.csv").write_text("outside\n5\n")
    (folder / "file_link.csv").symlink_to(around / "secret.csv")
    (folder / "relative_link.csv").symlink_to("../secret.csv")
    (folder / "folder_link").symlink_to(around / "secret")
    (folder / "inner_link.csv").symlink_to(folder / "sub" / "good.csv")
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    return folder


@pytest.fixture(autouse=True)
def _data_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSVC_DATA_FOLDER", str(folder))


def code_of(dataset: str) -> str:
    with pytest.raises(Fail) as failure:
        tables.load(dataset)
    return str(failure.value.code)


@pytest.mark.parametrize("name", tables.dataset_names())
def test_load_gives_every_row_of_every_shipped_table(name: str) -> None:
    path = Path(getattr(local_data, name.replace("-", "_")).filepath)
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            expected = list(csv.DictReader(file))
    else:
        expected = json.loads(path.read_text())

    table = tables.load(name)

    assert len(table) == len(expected)
    assert list(table.columns) == list(expected[0])


def test_load_never_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a table was fetched")

    monkeypatch.setattr("vega_datasets.core.urlopen", refuse)

    assert code_of("flights-2k") == "UNKNOWN_DATASET"
    assert len(tables.load("cars")) == 406


@pytest.mark.parametrize(
    ("name", "column", "first"),
    [
        ("stocks", "date", "2000-01-01"),
        ("seattle-weather", "date", "2012-01-01"),
        ("crimea", "date", "1854-04-01"),
        ("us-employment", "month", "2006-01-01"),
    ],
)
def test_load_turns_texts_that_are_dates_into_dates(name: str, column: str, first: str) -> None:
    values = tables.load(name)[column]

    assert tables.kind(values) == "date"
    assert values.min().floor("D") == pd.Timestamp(first)


def test_load_names_the_tables_near_to_a_wrong_name() -> None:
    with pytest.raises(Fail, match="did you mean stocks") as failure:
        tables.load("stock")

    assert failure.value.code == "UNKNOWN_DATASET"
    assert "us-employment" in str(failure.value)


@pytest.mark.parametrize("path", ["good.csv", "sub/good.csv", "./sub/../good.csv", "inner_link.csv"])
def test_load_reads_files_below_the_data_folder(path: str) -> None:
    assert list(tables.load(path).columns) == ["inside"]


@pytest.mark.parametrize(
    "path",
    [
        "../secret.csv",
        "../data-2.csv",
        "sub/../../secret.csv",
        "file_link.csv",
        "relative_link.csv",
        "folder_link/good.csv",
        "folder_link/../secret.csv",
        "loop.csv",
        "loop.csv/x.csv",
        "folder.csv",
        "pipe.csv",
        "missing.csv",
        "good.csv/x.csv",
        "/etc/passwd.csv",
        "~/x.csv",
        "x\0.csv",
        "\udcff.csv",
        "x" * 5_000 + ".csv",
        "../" * 500 + "x.csv",
        ".csv",
        "//good.csv",
        "..\\secret.csv",
    ],
)
def test_load_refuses_every_way_out_with_the_same_answer(path: str) -> None:
    with pytest.raises(Fail) as failure:
        tables.load(path)

    assert failure.value.code == "FILE_NOT_AVAILABLE"
    assert str(failure.value) == f"there is no readable file {path!r} in the worker's data folder"


SEGMENTS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "sub",
        "secret",
        "data",
        "folder_link",
        "good.csv",
        "secret.csv",
        "file_link.csv",
        "\0",
        "~",
        "data-2.csv",
    ]
)


@given(parts=st.lists(SEGMENTS | st.text(max_size=4), max_size=8), last=SEGMENTS, rooted=st.booleans())
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_load_reads_nothing_outside_however_the_path_is_spelt(
    folder: Path, parts: list[str], last: str, rooted: bool
) -> None:
    path = "/".join([*([str(folder)] if rooted else []), *parts, last])
    path = path if path.endswith(".csv") else f"{path}.csv"

    with suppress(Fail):
        assert list(tables.load(path).columns) == ["inside"]


def test_open_below_does_not_follow_a_link_that_appears_after_the_check(folder: Path) -> None:
    for path in ("folder_link/good.csv", "file_link.csv"):
        with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
            tables._open_below(folder, Path(path))


def test_load_without_a_data_folder_says_how_to_offer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBSVC_DATA_FOLDER")

    with pytest.raises(Fail, match="JOBSVC_DATA_FOLDER=FOLDER") as failure:
        tables.load("good.csv")

    assert failure.value.code == "NO_DATA_FOLDER"


def test_load_refuses_a_file_above_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_FILE_BYTES", 8)

    (folder / "eight.csv").write_bytes(b"inside\n1")
    (folder / "nine.csv").write_bytes(b"inside\n12")

    assert len(tables.load("eight.csv")) == 1
    assert code_of("nine.csv") == "FILE_TOO_LARGE"


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"only,names\n", b"\xff\xfe\x00", b'a,b\n"1,2\n3', b"a,b\n1\n1,2,3,4\n"]
)
def test_load_refuses_what_is_not_a_table(folder: Path, content: bytes) -> None:
    (folder / "broken.csv").write_bytes(content)

    assert code_of("broken.csv") == "NOT_A_TABLE"


def test_load_refuses_a_table_with_too_many_columns(folder: Path) -> None:
    (folder / "wide.csv").write_text(
        ",".join("c" * (n + 1) for n in range(1_001)) + "\n" + "1," * 1_000 + "1\n"
    )

    assert code_of("wide.csv") == "TABLE_TOO_WIDE"


def test_column_names_the_columns_there_are() -> None:
    with pytest.raises(Fail, match=r"did you mean Horsepower\? There are: Name, Miles_per_Gallon") as failure:
        tables.column(tables.load("cars"), "Horse_power")

    assert failure.value.code == "UNKNOWN_COLUMN"


def test_column_gives_parts_of_dates() -> None:
    weather = tables.load("seattle-weather")

    assert set(tables.column(weather, "date.month")) == set(range(1, 13))
    with pytest.raises(Fail, match="'wind' is not a date") as failure:
        tables.column(weather, "wind.month")
    assert failure.value.code == "NOT_A_DATE"


def test_numeric_column_names_the_columns_that_hold_numbers() -> None:
    with pytest.raises(
        Fail, match=r"'weather' holds text.* precipitation, temp_max, temp_min, wind"
    ) as failure:
        tables.numeric_column(tables.load("seattle-weather"), "weather")

    assert failure.value.code == "NOT_NUMERIC"


def test_select_keeps_matching_rows_and_shows_values_when_there_are_none() -> None:
    cars = tables.load("cars")

    kept = tables.select(cars, {"Origin": "Japan", "Cylinders": 4})

    expected = [row for row in cars.to_dict("records") if row["Origin"] == "Japan" and row["Cylinders"] == 4]
    assert len(kept) == len(expected) == 69
    with pytest.raises(Fail, match="for example: Europe, Japan, USA") as failure:
        tables.select(cars, {"Origin": "Mars"})
    assert failure.value.code == "NO_ROWS"

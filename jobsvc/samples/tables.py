"""The tables that the sample handlers work on.

A table is either one of those that the package ``vega-datasets`` brings along on disk (nothing is ever fetched), or a
CSV file under the folder that whoever runs the worker names in ``JOBSVC_DATA_FOLDER``. Arguments come from clients, so
a file outside of that folder must not be reachable by any spelling, and its existence must not show in the answer.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype
from pandas.tseries.api import guess_datetime_format
from vega_datasets import local_data

from jobsvc import Fail

DATA_FOLDER_VARIABLE = "JOBSVC_DATA_FOLDER"
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_COLUMNS = 1_000
DATE_PARTS = ("year", "quarter", "month", "weekday", "hour")
SHORTEST_DATE = 8  # characters: "2026-1-1"


@lru_cache(maxsize=1)
def dataset_names() -> tuple[str, ...]:
    """Return the names of the tables that are always there, sorted."""
    return tuple(sorted(local_data.list_datasets()))


def load(dataset: str) -> pd.DataFrame:
    """Read a table by its name, or by its path when it ends in ``.csv``.

    Columns whose texts are dates, all in one format, become dates. Infinite numbers count as missing.

    Args:
        dataset: A name as in ``dataset_names()``, or a path relative to the data folder.

    Raises:
        Fail: There is no such table, it is not readable as one, or it is too large. ``code`` says which.
    """
    if dataset.lower().endswith(".csv"):
        return _tidy(_parse_csv(dataset, _read_below_data_folder(dataset)))
    if dataset not in dataset_names():
        raise Fail(
            f"there is no dataset {dataset!r}; {_did_you_mean(dataset, dataset_names())}, "
            f"or the path of a .csv file in the worker's data folder",
            code="UNKNOWN_DATASET",
        )
    path = Path(getattr(local_data, dataset.replace("-", "_")).filepath)
    if path.suffix == ".csv":
        return _tidy(_parse_csv(dataset, path.read_bytes()))
    return _tidy(pd.DataFrame(json.loads(path.read_bytes())))


def column(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return one column; a date column may be followed by a part, as in ``date.month``.

    Raises:
        Fail: ``UNKNOWN_COLUMN``, naming the columns there are.
    """
    if name in table.columns:
        return table[name]
    base, _, part = name.rpartition(".")
    if base in table.columns and part in DATE_PARTS:
        if not is_datetime64_any_dtype(table[base]):
            raise Fail(f"{base!r} is not a date, so it has no {part!r}", code="NOT_A_DATE")
        return getattr(table[base].dt, part)  # type: ignore[no-any-return]
    names = [str(known) for known in table.columns]
    raise Fail(f"there is no column {name!r}; {_did_you_mean(name, names)}", code="UNKNOWN_COLUMN")


def numeric_column(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return one column as floats, without the rows where it is missing.

    Raises:
        Fail: ``UNKNOWN_COLUMN``, or ``NOT_NUMERIC`` with the names of the columns that are.
    """
    values = column(table, name)
    if kind(values) not in ("integer", "number"):
        numeric = [str(other) for other in table.columns if kind(table[other]) in ("integer", "number")]
        raise Fail(
            f"column {name!r} holds {kind(values)}, not numbers; numeric columns: {', '.join(numeric) or 'none'}",
            code="NOT_NUMERIC",
        )
    return values.dropna().astype(float)


def kind(values: pd.Series[Any]) -> str:
    """Say in one word what a column holds: ``boolean``, ``integer``, ``number``, ``date`` or ``text``."""
    if is_bool_dtype(values):
        return "boolean"
    if is_datetime64_any_dtype(values):
        return "date"
    if is_numeric_dtype(values):
        return "integer" if bool((values.dropna() % 1 == 0).all()) and len(values.dropna()) else "number"
    return "text"


def select(table: pd.DataFrame, where: Mapping[str, str | int | float] | None) -> pd.DataFrame:
    """Keep the rows in which every named column equals the given value.

    Raises:
        Fail: ``UNKNOWN_COLUMN``, or ``NO_ROWS`` when nothing is left.
    """
    kept = table
    for name, wanted in (where or {}).items():
        values = column(kept, name)
        same = (
            values == wanted if kind(values) in ("integer", "number") else values.astype(str) == str(wanted)
        )
        if not same.any():
            examples = ", ".join(sorted({str(value) for value in values.dropna().unique()[:8]}))
            raise Fail(f"no row has {name} = {wanted!r}; there are, for example: {examples}", code="NO_ROWS")
        kept = kept[same]
    return kept


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}? There are: {', '.join(known)}"
    return f"there are: {', '.join(known)}"


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    if len(table.columns) > MAX_COLUMNS:
        raise Fail(
            f"the table has {len(table.columns)} columns, more than {MAX_COLUMNS}", code="TABLE_TOO_WIDE"
        )
    for name in table.columns:
        dates = _as_dates(table[name])
        if dates is not None:
            table[name] = dates
    return table.replace([float("inf"), float("-inf")], float("nan"))


def _as_dates(values: pd.Series[Any]) -> pd.Series[Any] | None:
    """Parse a column of texts if the format of the first one holds for all of them."""
    first = next(iter(values.dropna().head(1)), None)
    if not isinstance(first, str) or len(first) < SHORTEST_DATE:
        return None
    spelling = guess_datetime_format(first)
    if spelling is None:
        return None
    try:
        dates = pd.to_datetime(values, format=spelling)
    except (ValueError, TypeError):
        return None
    return dates.dt.tz_localize(None) if dates.dt.tz is not None else dates


def _parse_csv(dataset: str, content: bytes) -> pd.DataFrame:
    try:
        table = pd.read_csv(BytesIO(content), encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError) as problem:
        # ValueError covers pandas' EmptyDataError and text that is not UTF-8.
        raise Fail(f"{dataset} is not a CSV table in UTF-8: {problem}", code="NOT_A_TABLE") from problem
    if table.empty:
        raise Fail(f"{dataset} has no rows", code="NOT_A_TABLE")
    table.columns = pd.Index([str(name) for name in table.columns])
    return table


def _read_below_data_folder(dataset: str) -> bytes:
    """Read a file that really lies in the data folder, at most ``MAX_FILE_BYTES`` of it."""
    folder = os.environ.get(DATA_FOLDER_VARIABLE)
    if not folder:
        raise Fail(
            f"this worker reads no files: start it with {DATA_FOLDER_VARIABLE}=FOLDER to offer the tables in it",
            code="NO_DATA_FOLDER",
        )
    try:
        root = Path(folder).resolve(strict=True)
        inside = (root / dataset).resolve().relative_to(root)
        handle = _open_below(root, inside)
    except (OSError, ValueError, RuntimeError) as problem:
        # One answer for "outside", "missing" and "not readable": a client must not be able to feel its way around.
        # RuntimeError is what Python 3.11 and 3.12 raise for a loop of symbolic links.
        raise Fail(
            f"there is no readable file {dataset!r} in the worker's data folder", code="FILE_NOT_AVAILABLE"
        ) from problem
    with os.fdopen(handle, "rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise Fail(f"{dataset} is larger than {MAX_FILE_BYTES // 2**20} MiB", code="FILE_TOO_LARGE")
    return content


def _open_below(root: Path, inside: Path) -> int:
    """Open the plain file ``root / inside`` without following a symbolic link on the way.

    Links were followed when the path was resolved; one that appears since then was put there to lead outside.
    O_NONBLOCK keeps a named pipe from holding up the worker.
    """
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in inside.parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        handle = os.open(inside.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("not a plain file")
    return handle

"""A batch on its way: what is sent, and what the answer means for each item. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobsvc_proto.v1 import job_service_pb2 as pb

from . import _faults, _requests
from .errors import JobsvcError, ParamError
from .values import JobStatus

_TITLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send for the items of a batch.

    Attributes:
        specs: What to run, for the items that can be sent.
        positions: The index of each of them among all items.
        rejected: The error of each item that cannot be sent, by its index.
    """

    specs: Sequence[pb.JobSpec]
    positions: Sequence[int]
    rejected: Mapping[int, JobsvcError]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of the items.

    Attributes:
        statuses: What is known of the jobs that were accepted, in the order of their items.
        rejected: The error of each other item, by its index among all items.
    """

    statuses: Sequence[JobStatus]
    rejected: Mapping[int, JobsvcError]


def plan(
    job_type: str,
    items: Iterable[Mapping[str, Any]],
    common: Mapping[str, Any],
    options: _requests.Options,
    encode: Callable[[Mapping[str, Any]], str],
    *,
    all_or_nothing: bool,
) -> Plan:
    """Turn items into what is sent.

    Args:
        job_type: What to run for each.
        items: Arguments of each job.
        common: Arguments that all jobs share; an item's own win.
        options: How to run them; without a title each job is called by its item.
        encode: Turns arguments into JSON text, or raises ParamError.
        all_or_nothing: Whether one wrong item stops all.

    Raises:
        BatchRejected: Items are wrong, and ``all_or_nothing``, or all of them are.
        ParamError: An option is wrong, or there are no items or too many.
    """
    listed = _as_list(items)
    specs: list[pb.JobSpec] = []
    positions: list[int] = []
    rejected: dict[int, JobsvcError] = {}
    for index, item in enumerate(listed):
        try:
            if not isinstance(item, Mapping):
                raise ParamError(f"an item must be a dict of names and values, not {type(item).__name__}")
            arguments_json = encode({**common, **item})
        except ParamError as exc:
            rejected[index] = exc
            continue
        titled = options if options.title else replace(options, title=item_title(item))
        specs.append(_requests.job_spec(job_type, arguments_json, titled))
        positions.append(index)
    if rejected and (all_or_nothing or not specs):
        raise _faults.rejected_items(rejected)
    return Plan(specs, positions, rejected)


def _as_list(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise ParamError(f"items must be a list of dicts, one for each job, not {type(items).__name__}")
    return list(items)


def accepted(plan: Plan, answer: pb.SubmitBatchResponse) -> Accepted:
    """Sort out an answer that names only the items it refuses.

    Raises:
        BatchRejected: None was accepted.
    """
    refused = iter(item.error for item in answer.items if item.WhichOneof("outcome") == "error")
    statuses: list[JobStatus] = []
    rejected = dict(plan.rejected)
    for position, spec, job_id in zip(plan.positions, plan.specs, answer.job_ids, strict=True):
        if job_id:
            statuses.append(
                JobStatus(
                    id=job_id,
                    job_type=spec.job_type,
                    title=spec.title,
                    queue=spec.queue,
                    state="scheduled" if spec.WhichOneof("earliest_start") else "queued",
                    arguments_json=spec.arguments.json,
                    batch_id=answer.batch_id,
                )
            )
        else:
            rejected[position] = _faults.from_item(next(refused))
    if not statuses:
        raise _faults.rejected_items(rejected)
    return Accepted(statuses, dict(sorted(rejected.items())))


def item_title(item: Mapping[str, Any]) -> str:
    """Return what tells one item from the others on one line, e.g. ``"portfolio=EU-4"``."""
    text = ", ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"
        for key, value in item.items()
    )
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_LENGTH else f"{line[: _TITLE_LENGTH - 1]}…"

"""Arguments of a job against the JSON Schema that its handler published. Errors name the field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

import jsonschema_rs
import structlog

from jobsvc.model.catalog import JobType
from jobsvc.model.errors import ArgumentsTooLarge, InvalidRequest, Violation
from jobsvc.model.jsontext import JsonProblem, parse
from jobsvc.rpc.status import MAX_VIOLATIONS, cut

FIELD = "spec.arguments"

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def parse_arguments(text: str, limit_bytes: int) -> dict[str, Any]:
    """Read the arguments of a job.

    Args:
        text: JSON as the caller sent it.
        limit_bytes: Most bytes of UTF-8.

    Raises:
        ArgumentsTooLarge: It is larger.
        InvalidRequest: It is not strict JSON, or not an object.
    """
    size = len(text)
    if size * 4 > limit_bytes and not text.isascii():
        size = len(text.encode())
    if size > limit_bytes:
        problem = (
            f"{size} bytes of JSON are above the limit of {limit_bytes}; hand large data over by reference"
        )
        raise ArgumentsTooLarge(
            f"the arguments are too large: {problem}",
            [Violation(FIELD, problem)],
            limit_bytes=str(limit_bytes),
            size_bytes=str(size),
        )
    try:
        value = parse(text)
    except JsonProblem as error:
        raise InvalidRequest(
            f"the arguments are wrong: the text {error}", [Violation(FIELD, str(error))]
        ) from None
    if not isinstance(value, dict):
        problem = f"must be a JSON object with one key for each argument, not {_kind(value)}"
        raise InvalidRequest(f"the arguments are wrong: the text {problem}", [Violation(FIELD, problem)])
    return value


class ArgumentsSchema:
    """The compiled schema of one job type."""

    def __init__(self, job_type: JobType) -> None:
        self._validator: jsonschema_rs.Validator | None = None
        self._known: list[str] = []
        try:
            schema = json.loads(job_type.arguments_schema)
            self._validator = jsonschema_rs.validator_for(schema, offline=True)
            self._known = list(schema.get("properties", {}))
        except (
            ValueError,
            AttributeError,
            jsonschema_rs.ValidationError,
            jsonschema_rs.ReferencingError,
        ) as error:
            # the worker checks again before it runs the handler, so nothing wrong is run
            structlog.get_logger().warning(
                "a published schema cannot be used; arguments are checked by the worker only",
                job_type=job_type.name,
                error=str(error)[:300],
            )

    def check(self, arguments: dict[str, Any]) -> list[Violation]:
        """Return what is wrong with the arguments, at most ``MAX_VIOLATIONS`` fields."""
        if self._validator is None or self._validator.is_valid(arguments):
            return []
        found = self._violations(self._validator.iter_errors(arguments))
        return list(islice(found, MAX_VIOLATIONS))

    def _violations(self, errors: Iterable[jsonschema_rs.ValidationError]) -> Iterator[Violation]:
        for error in errors:
            kind: Any = error.kind
            path = list(error.instance_path)
            if kind.name == "required":
                yield Violation(field_path([*path, kind.property]), "is required")
            elif kind.name in ("additionalProperties", "unevaluatedProperties"):
                for name in kind.unexpected:
                    yield Violation(field_path([*path, name]), self._unknown(name, at_top=not path))
            elif kind.name in ("anyOf", "oneOf") and getattr(kind, "context", None):
                yield from self._best_branch(error, kind.context)
            elif kind.name == "type":
                yield Violation(field_path(path), _expected(kind.types, error.instance))
            else:
                yield Violation(field_path(path), cut(error.message, 200))

    def _best_branch(
        self, error: jsonschema_rs.ValidationError, branches: list[list[jsonschema_rs.ValidationError]]
    ) -> Iterator[Violation]:
        """Of several alternatives, explain the one that was meant: of the right type, but wrong inside."""
        here = list(error.instance_path)
        types: list[str] = []
        for branch in branches:
            kind: Any = branch[0].kind if len(branch) == 1 and list(branch[0].instance_path) == here else None
            if kind is None or kind.name != "type":
                yield from self._violations(branch)
                return
            types += kind.types
        yield Violation(field_path(here), _expected(types, error.instance))

    def _unknown(self, name: str, *, at_top: bool) -> str:
        near = get_close_matches(name, self._known, n=1) if at_top else []
        if near:
            return f"is not known; did you mean {near[0]}?"
        known = ", ".join(self._known) if at_top else ""
        return f"is not known; there are {cut(known, 150)}" if known else "is not known"


def field_path(path: Iterable[str | int]) -> str:
    """Write a path inside the arguments as in ``spec.arguments.rows[3].price``."""
    text = FIELD
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_NAME.fullmatch(part):
            text += f".{part}"
        else:
            text += f"[{json.dumps(cut(part, 60), ensure_ascii=False)}]"
    return text


def _expected(types: Iterable[str], value: Any) -> str:
    return f"must be {' or '.join(dict.fromkeys(types))}, not {_kind(value)}"


def _kind(value: Any) -> str:
    return "null" if value is None else _JSON_TYPES[type(value)]

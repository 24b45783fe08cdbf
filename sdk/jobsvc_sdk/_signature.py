"""A job type's JSON Schema as a Python signature, for Tab, Shift-Tab, ``?`` and calls. Pure."""

from __future__ import annotations

import inspect
import json
import keyword
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from . import _schema
from ._encode import encode_arguments
from .errors import ParamError, Violation
from .values import JobTypeValue

_TYPES: dict[str, Any] = {
    "integer": int,
    "number": float,
    "string": str,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": None,
}
_FORMATS: dict[str, Any] = {"date": date, "date-time": datetime, "time": time}
_MORE = "more_arguments"


def signature_of(schema_json: str) -> inspect.Signature:
    """Return the signature a handler's schema describes.

    Arguments without a default come first where Python wants them first; names that are no Python names, and
    everything else that a schema allows beyond its names, go to ``**more_arguments``.

    Args:
        schema_json: JSON Schema of the arguments object; empty allows anything.
    """
    schema = json.loads(schema_json) if schema_json else {}
    properties = schema.get("properties", {})
    required = set(schema.get("required", []))
    parameters: list[inspect.Parameter] = []
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    open_ended = schema.get("additionalProperties", True) is not False
    defaults_began = False
    for name, item in properties.items():
        if not name.isidentifier() or keyword.iskeyword(name):
            open_ended = True
            continue
        default = inspect.Parameter.empty if name in required else _default(item)
        if default is inspect.Parameter.empty and defaults_began:
            kind = inspect.Parameter.KEYWORD_ONLY
        defaults_began = defaults_began or default is not inspect.Parameter.empty
        parameters.append(
            inspect.Parameter(name, kind, default=default, annotation=annotation_of(item, schema))
        )
    if open_ended:
        parameters.append(inspect.Parameter(_MORE, inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)


def _default(schema: Mapping[str, Any]) -> Any:
    """Return an optional argument's default; one the schema does not tell is shown as ``...``."""
    return schema.get("default", _Shown("..."))


def annotation_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return the Python type for a schema, ``Any`` where there is none."""
    schema = _schema.resolve(schema, root)
    if "enum" in schema or "const" in schema:
        return _Shown(_schema.describe(schema, root))
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return _union([annotation_of(option, root) for option in options])
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union([_TYPES.get(item, Any) for item in kind])
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), str)
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        return _Shown(_schema.describe(schema, root))
    return _TYPES.get(str(kind), Any)


class _Shown:
    """An annotation that is only ever read by people."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _union(members: list[Any]) -> Any:
    if any(isinstance(member, _Shown) or member is Any for member in members):
        return _Shown(" | ".join(_word(member) for member in members))
    union = members[0]
    for member in members[1:]:
        union = union | member
    return union


def _word(annotation: Any) -> str:
    if annotation is None:
        return "None"
    return getattr(annotation, "__name__", None) or repr(annotation)


def signature_text(signature: inspect.Signature) -> str:
    """Return a signature on one line, with short type names, e.g. ``(portfolio: str, asof: date | None = None)``."""
    text = str(signature)
    return (
        text.replace("datetime.datetime", "datetime")
        .replace("datetime.date", "date")
        .replace("datetime.time", "time")
    )


def bind(job_type: JobTypeValue, signature: inspect.Signature, args: Any, kwargs: Mapping[str, Any]) -> str:
    """Return the arguments of a typed call as JSON text, checked against signature and schema.

    Defaults are left out: the worker that runs the job knows its own.

    Raises:
        ParamError: A missing, unknown or wrong argument; the message ends with the signature.
    """
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as exc:
        raise _refused(job_type, signature, _binding_violations(signature, args, kwargs, exc)) from None
    arguments: dict[str, Any] = dict(bound.arguments)
    arguments.update(arguments.pop(_MORE, {}))
    try:
        encoded = encode_arguments(arguments)
    except ParamError as exc:
        raise _refused(job_type, signature, list(exc.violations)) from None
    found = _schema.violations(encoded, job_type.arguments_schema_json)
    if found:
        raise _refused(job_type, signature, found)
    return encoded


def _binding_violations(
    signature: inspect.Signature, args: Any, kwargs: Mapping[str, Any], exc: TypeError
) -> list[Violation]:
    """Name every argument that does not fit, where Python's own message names only the first."""
    names = [name for name in signature.parameters if name != _MORE]
    found = []
    if _MORE not in signature.parameters:
        found += [
            Violation(f"arguments.{name}", "is not an argument of this job type")
            for name in kwargs
            if name not in names
        ]
    given = set(names[: len(args)]) | set(kwargs)
    found += [
        Violation(f"arguments.{name}", "is missing")
        for name in names
        if name not in given and signature.parameters[name].default is inspect.Parameter.empty
    ]
    return found or [Violation("arguments", str(exc))]


def _refused(job_type: JobTypeValue, signature: inspect.Signature, found: list[Violation]) -> ParamError:
    listed = "; ".join(str(violation) for violation in found[:5])
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    return ParamError(f"{listed}{more}. {job_type.name} takes {signature_text(signature)}", violations=found)

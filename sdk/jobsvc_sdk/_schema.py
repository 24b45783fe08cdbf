"""A small check of arguments against a job type's JSON Schema, before anything is sent.

It knows the keywords that typed Python functions produce and lets pass what it does not know: the server checks
everything again. So it may miss a mistake, but it never refuses what the server would take.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from .errors import Violation

Schema: TypeAlias = Mapping[str, Any]

_WORDS = {
    "integer": "int",
    "number": "float",
    "string": "str",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
    "null": "None",
}
_SHOWN = 60


def _is_integer(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and value.is_integer()
    )


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "integer": _is_integer,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def resolve(schema: Schema, root: Schema) -> Schema:
    """Follow a local ``$ref``; anything that cannot be followed is an empty schema."""
    seen = 0
    while "$ref" in schema and seen < 20:
        seen += 1
        target: Any = root
        for part in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
            target = target.get(part, {}) if isinstance(target, Mapping) else {}
        schema = target if isinstance(target, Mapping) else {}
    return schema


def describe(schema: Schema, root: Schema) -> str:
    """Return the type a schema asks for as an analyst would write it, e.g. ``"list[int] | None"``."""
    schema = resolve(schema, root)
    if "enum" in schema:
        return " | ".join(repr(item) for item in schema["enum"])
    if "const" in schema:
        return repr(schema["const"])
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " | ".join(dict.fromkeys(describe(option, root) for option in options))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_WORDS.get(str(item), str(item)) for item in kind)
    if kind == "string" and schema.get("format") in ("date", "date-time", "time"):
        return {"date": "date", "date-time": "datetime", "time": "time"}[schema["format"]]
    if kind == "array" and schema.get("items"):
        return f"list[{describe(schema['items'], root)}]"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"dict[str, {describe(schema['additionalProperties'], root)}]"
    return _WORDS.get(str(kind), "Any")


def violations(arguments: str, schema_json: str) -> list[Violation]:
    """Check arguments against a schema.

    Args:
        arguments: The arguments object as JSON text.
        schema_json: The schema as JSON text; empty takes everything.

    Returns:
        What is wrong, with paths such as ``arguments.rows[3].price``; empty when nothing was found.
    """
    if not schema_json:
        return []
    root = json.loads(schema_json)
    return list(_check(json.loads(arguments), root, root, "arguments"))


def _check(value: Any, schema: Any, root: Schema, path: str) -> Iterator[Violation]:
    if not isinstance(schema, Mapping):
        return
    schema = resolve(schema, root)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        yield from _check_options(value, options, schema, root, path)
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    wrong_type = kinds and not any(_CHECKS.get(kind, lambda _: True)(value) for kind in kinds)
    if wrong_type or ("enum" in schema and not _among(value, schema["enum"])):
        yield Violation(path, f"expected {describe(schema, root)}, got {shown(value)}")
        return
    yield from _check_limits(value, schema, path)
    if isinstance(value, dict):
        yield from _check_object(value, schema, root, path)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _check(item, schema["items"], root, f"{path}[{index}]")


def _among(value: Any, allowed: list[Any]) -> bool:
    return any(value == item and isinstance(value, bool) == isinstance(item, bool) for item in allowed)


def _check_options(
    value: Any, options: list[Any], schema: Schema, root: Schema, path: str
) -> Iterator[Violation]:
    results = [list(_check(value, option, root, path)) for option in options]
    if all(results):
        inner = [found for found in results if all(item.field != path for item in found)]
        if len(inner) == 1:  # the type fits one option, which says more
            yield from inner[0]
        else:
            yield Violation(path, f"expected {describe(schema, root)}, got {shown(value)}")


def _check_object(value: dict[str, Any], schema: Schema, root: Schema, path: str) -> Iterator[Violation]:
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            wanted = describe(properties.get(name, {}), root)
            yield Violation(f"{path}.{name}", f"is missing, expected {wanted}")
    extra = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            yield from _check(item, properties[name], root, f"{path}.{name}")
        elif extra is False and "patternProperties" not in schema:
            yield Violation(f"{path}.{name}", "is not an argument of this job type")
        else:
            yield from _check(item, extra, root, f"{path}.{name}")


_BOUNDS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("minimum", "at least", lambda value, bound: value >= bound),
    ("maximum", "at most", lambda value, bound: value <= bound),
    ("exclusiveMinimum", "more than", lambda value, bound: value > bound),
    ("exclusiveMaximum", "less than", lambda value, bound: value < bound),
)


def _check_limits(value: Any, schema: Schema, path: str) -> Iterator[Violation]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for keyword, words, holds in _BOUNDS:
            if keyword in schema and not holds(value, schema[keyword]):
                yield Violation(path, f"must be {words} {schema[keyword]}, got {shown(value)}")
    for kind, least, most, unit in (
        (str, "minLength", "maxLength", "characters"),
        (list, "minItems", "maxItems", "items"),
    ):
        if isinstance(value, kind):
            size = len(value)
            if size < schema.get(least, 0):
                yield Violation(path, f"must have at least {schema[least]} {unit}, has {size}")
            if size > schema.get(most, size):
                yield Violation(path, f"must have at most {schema[most]} {unit}, has {size}")


def shown(value: Any) -> str:
    """Return a value for a message, cut when it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

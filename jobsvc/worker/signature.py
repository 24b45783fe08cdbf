"""From a function's signature to the JSON Schema that clients see, and from JSON to a call."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from inspect import Parameter
from typing import Any, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.errors import PydanticSchemaGenerationError

from jobsvc.broker.binding import catch_all, unbind
from jobsvc.model.errors import ConfigurationError


class Arguments:
    """Reads the arguments of one function.

    Args:
        function: The function; parameters without annotation take any JSON value.
        name: Its job type, for messages.

    Raises:
        ConfigurationError: An annotation cannot be described by a JSON Schema.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self._parameters = list(inspect.signature(function).parameters.values())
        self._simple = all(
            p.annotation is Parameter.empty and p.kind is Parameter.POSITIONAL_OR_KEYWORD
            for p in self._parameters
        )
        self._model = self._build()

    def schema(self) -> str:
        """JSON Schema (2020-12) of the arguments object, as text."""
        schema = self._model.model_json_schema(by_alias=True)
        schema.pop("title", None)
        for field in schema.get("properties", {}).values():
            field.pop("title", None)
        schema.setdefault("properties", {})
        schema["additionalProperties"] = any(p.kind is Parameter.VAR_KEYWORD for p in self._parameters)
        return json.dumps(schema)

    def read(self, text: str) -> tuple[list[Any], dict[str, Any]]:
        """Turn a JSON object into positional and keyword arguments.

        Raises:
            ValueError: The arguments do not fit; the message names each wrong one.
        """
        if self._simple:
            named = json.loads(text)
        else:
            try:
                model = self._model.model_validate_json(text)
            except ValidationError as error:
                raise ValueError(_explain(error)) from None
            names = {field: info.alias or field for field, info in type(model).model_fields.items()}
            named = {
                names[field]: getattr(model, field) for field in model.model_fields_set if field in names
            }
            named.update(model.model_extra or {})
        return unbind(self._function, named)

    def _build(self) -> type[BaseModel]:
        try:
            hints = get_type_hints(self._function, include_extras=True)
        except (NameError, TypeError) as error:
            raise ConfigurationError(f"{self._name}: its annotations cannot be read: {error}") from None
        fields: dict[str, Any] = {}
        for position, parameter in enumerate(self._parameters):
            if parameter.kind is Parameter.VAR_KEYWORD:
                continue
            annotation: Any = hints.get(parameter.name, Any)
            default: Any = ... if parameter.default is Parameter.empty else parameter.default
            if catch_all(parameter):
                annotation, default = list[annotation], []
            # field names are ours, so that a parameter may be called anything, even "copy" or "model_config"
            fields[f"argument_{position}"] = (annotation, Field(default, alias=parameter.name))
        extra: Any = "allow" if any(p.kind is Parameter.VAR_KEYWORD for p in self._parameters) else "forbid"
        config = ConfigDict(extra=extra, arbitrary_types_allowed=False)
        try:
            model = create_model(self._name, __config__=config, **fields)
            model.model_json_schema(by_alias=True)
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(
                f"{self._name}: a parameter has a type that JSON cannot carry: {reason}"
            ) from None
        return model


def _explain(error: ValidationError) -> str:
    parts = []
    for entry in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in entry["loc"]) or "arguments"
        parts.append(f"{place}: {entry['msg']}")
    return "; ".join(parts)


def result_schema(function: Callable[..., Any]) -> str:
    """JSON Schema of what a function returns, as text; empty when it does not say, or JSON cannot say it."""
    try:
        annotation = get_type_hints(function, include_extras=True).get("return")
        if annotation is None:
            return ""
        return json.dumps(TypeAdapter(annotation).json_schema(mode="serialization"))
    except (NameError, TypeError, PydanticUserError, PydanticSchemaGenerationError):
        return ""

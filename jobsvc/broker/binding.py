"""Between the positional arguments of Python and the named arguments of a job."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import Parameter
from typing import Any

_CATCH_ALL = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@lru_cache(maxsize=1024)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def bind(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Give every argument its name, so that a job can be read, searched and sent from other languages.

    What ``*rest`` catches becomes the list ``rest``; what ``**options`` catches keeps its names.

    Raises:
        TypeError: The function does not take these arguments.
    """
    if not args:
        return dict(kwargs)
    signature = _signature(function)
    bound = signature.bind(*args, **kwargs).arguments
    named: dict[str, Any] = {}
    for name, value in bound.items():
        kind = signature.parameters[name].kind
        if kind is Parameter.VAR_KEYWORD:
            named.update(value)
        elif kind is Parameter.VAR_POSITIONAL:
            named[name] = list(value)
        else:
            named[name] = value
    return named


def unbind(function: Callable[..., Any], named: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The way back: positional and keyword arguments for a call."""
    parameters = _signature(function).parameters
    rest = next((p.name for p in parameters.values() if p.kind is Parameter.VAR_POSITIONAL), None)
    only_positional = [p.name for p in parameters.values() if p.kind is Parameter.POSITIONAL_ONLY]
    if rest in named:
        before = [p.name for p in parameters.values() if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
        only_positional += before
    args = [named[name] for name in only_positional if name in named]
    if rest is not None and rest in named:
        args += named[rest]
    taken = {*only_positional, rest}
    return args, {name: value for name, value in named.items() if name not in taken}


def catch_all(parameter: Parameter) -> bool:
    """Whether a parameter is ``*args`` or ``**kwargs``."""
    return parameter.kind in _CATCH_ALL

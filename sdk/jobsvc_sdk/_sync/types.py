# Generated from _async/types.py by tools/gen_sync.py; change that one.
"""Job types as callables with real signatures."""

from __future__ import annotations

import difflib
import inspect
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jobsvc_sdk._faults import unknown_job_type
from jobsvc_sdk._signature import bind, signature_of, signature_text
from jobsvc_sdk.errors import JobsvcError, ParamError
from jobsvc_sdk.tables import JobTypeTable
from jobsvc_sdk.values import JobTypeValue

if TYPE_CHECKING:
    from .client import ClientCore
    from .handles import Job


_FRESH_S = 30.0


class Branch:
    """The job types below a dotted prefix, as attributes: Tab completes them."""

    def __init__(self, client: ClientCore, found: Sequence[JobTypeValue], prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix
        self._known: dict[str, JobTypeValue] = {}
        self._take(found)

    def _take(self, found: Sequence[JobTypeValue]) -> None:
        self._known = {value.name: value for value in found}

    @property
    def _found(self) -> dict[str, JobTypeValue]:
        return self._known

    def _find(self, full: str) -> Branch | None:
        if full in self._found:
            return TypedCall(self._client, self._found[full], tuple(self._found.values()))
        if any(other.startswith(f"{full}.") for other in self._found):
            return Types(self._client, tuple(self._found.values()), f"{full}.")
        return None

    def _find_again(self, full: str) -> Branch | None:
        """Look once more, among what there is now."""
        newer = self._client._types_again()
        if newer is None:
            return None
        self._take(newer)
        return self._find(full)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        full = f"{self._prefix}{name}"
        found = self._find(full) or self._find_again(full)
        if found is None:
            near = difflib.get_close_matches(full, self._found, n=3)
            raise AttributeError(unknown_job_type(full, near).message, name=name, obj=self)
        return found

    def __dir__(self) -> list[str]:
        below = [name.removeprefix(self._prefix) for name in self._found if name.startswith(self._prefix)]
        return sorted({name.partition(".")[0] for name in below})


class Types(Branch):
    """The job types below a dotted prefix, as a table and by name.

    ``client.types.analytics.profile(...)`` submits; ``client.types["analytics.profile"]`` is the same thing.
    """

    def __getitem__(self, name: str) -> TypedCall:
        full = f"{self._prefix}{name}"
        found = self._find(full) or self._find_again(full)
        if not isinstance(found, TypedCall):
            raise unknown_job_type(full, difflib.get_close_matches(full, self._found, n=3))
        return found

    def _ipython_key_completions_(self) -> list[str]:
        return [value.name.removeprefix(self._prefix) for value in self._table()]

    def __iter__(self) -> Iterator[JobTypeValue]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return f"{self._prefix}{name}" in self._found

    def _table(self) -> JobTypeTable:
        return JobTypeTable(value for name, value in self._found.items() if name.startswith(self._prefix))

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()


class TypedCall(Branch):
    """One job type: calling it submits a job, with arguments checked before anything is sent."""

    def __init__(
        self,
        client: ClientCore,
        value: JobTypeValue,
        found: Sequence[JobTypeValue],
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(client, found, f"{value.name}.")
        self.job_type = value
        self._read_at = time.monotonic()
        self._options = options or {}
        self.__signature__ = signature_of(value.arguments_schema_json)
        self.__name__ = value.name.rpartition(".")[2]
        self.__qualname__ = value.name
        self.__doc__ = value.description or f"Submit {value.name}."

    def __call__(self, *args: Any, **kwargs: Any) -> Job:
        """Submit a job with these arguments.

        Raises:
            ParamError: An argument is missing, unknown or wrong; nothing was sent.
            JobsvcError: What the server answered, or that it did not.
        """
        __tracebackhide__ = True
        try:
            arguments_json = self.bind(args, kwargs)
        except ParamError:
            newer = self._newer()
            if newer is None:
                raise
            arguments_json = newer.bind(args, kwargs)
        return self._client._submit(self.job_type.name, arguments_json, **self._options)

    def _newer(self) -> TypedCall | None:
        """Return what the job type is now, when it was read long ago: a worker may have brought a new version."""
        if time.monotonic() - self._read_at < _FRESH_S:
            return None
        try:
            value = self._client._transport.job_type(self.job_type.name)
        except JobsvcError:
            return None
        self._read_at = time.monotonic()
        return TypedCall(self._client, value, ())

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), "bind", "job_type", "options"})

    def options(self, **options: Any) -> TypedCall:
        """Return the same job type with options for its jobs, apart from their arguments.

        Args:
            **options: ``queue``, ``priority``, ``delay``, ``start_at``, ``expires``, ``max_attempts``, ``timeout``,
                ``retry``, ``title``, ``labels``, ``job_id`` or ``request_id``; see ``client.submit``.
        """
        self._client._check_options(options)
        return TypedCall(
            self._client, self.job_type, tuple(self._found.values()), {**self._options, **options}
        )

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
        """Return arguments as checked JSON text.

        Raises:
            ParamError: One is missing, unknown or wrong.
        """
        __tracebackhide__ = True
        signature: inspect.Signature = self.__signature__
        return bind(self.job_type, signature, args, kwargs)

    def __repr__(self) -> str:
        return f"{self.job_type.name}{signature_text(self.__signature__)}  {self.job_type.summary}".rstrip()

    def _repr_html_(self) -> str:
        return JobTypeTable([self.job_type])._repr_html_()

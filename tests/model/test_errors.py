"""The tree of errors."""

from __future__ import annotations

import re

import pytest

from jobsvc.model import errors
from jobsvc.model.errors import InvalidRequest, JobsvcError, Violation


def tree(kind: type[JobsvcError] = JobsvcError) -> list[type[JobsvcError]]:
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(each for child in children for each in tree(child))]


def test_tree_in_the_documentation_is_the_tree() -> None:
    drawn = re.findall(r"^ *(?:│ +)?[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)

    assert ["JobsvcError", *drawn] == [kind.__name__ for kind in tree()]


def test_every_error_has_a_reason_of_its_own() -> None:
    reasons = [kind.reason for kind in tree()]

    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch(r"[A-Z_]+", reason) for reason in reasons)


@pytest.mark.parametrize("kind", tree())
def test_errors_carry_facts(kind: type[JobsvcError]) -> None:
    error = kind("what happened", job_type="x")

    assert (str(error), error.message, error.facts) == ("what happened", "what happened", {"job_type": "x"})


def test_invalid_request_names_the_fields() -> None:
    violations = [Violation("a.b", "is wrong")]

    assert InvalidRequest("wrong", violations).violations == tuple(violations)

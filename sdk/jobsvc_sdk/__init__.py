"""Submit jobs to a jobsvc server, watch them live, take their results."""

from __future__ import annotations

"""Measurements of jobsvc beside peers and beside the bare parts that it is made of: see docs/benchmarks.md.

Each bench is a module with a command, started by ``make bench-...``; what they share is next to them, and ``programs``
has what runs in processes of its own.
"""

"""Handlers that ship: useful jobs on real tables.

They are written as a user's handlers would be: they import ``jobsvc`` and third-party packages, nothing of its inside.

    jobsvc dev --import jobsvc.samples.analytics
"""

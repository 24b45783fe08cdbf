"""Dramatiq on leases: actors and messages are Dramatiq's, queues and records are the store's."""

from jobsvc.broker.broker import JobBroker as JobBroker
from jobsvc.broker.broker import current_broker as current_broker

__all__ = ["JobBroker", "current_broker"]

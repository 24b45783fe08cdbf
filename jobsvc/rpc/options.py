"""Settings of the gRPC transport. All of them are written down, because several defaults are traps."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
"""Largest message either way; the SDK has the same."""

CONNECTION_AGE_MS = 30 * 60_000
DRAIN_GRACE_S = 5.0
"""How long calls that run may take when the server stops."""

OPTIONS: tuple[tuple[str, int], ...] = (
    # With the default a second server on the same port would silently share it.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A connection that never says hello, or has no calls, goes away.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
    # Clients find other servers behind a balancer again; streams end with it, and are resumed.
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
    ("grpc.max_connection_age_grace_ms", 60_000),
    # Clients ping every 30 s on a quiet stream. Without these a server cuts one that pings often.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client that vanished without a word is noticed after 40 s, and its streams end.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

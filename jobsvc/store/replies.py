"""What Redis answers when it does not do as asked, as errors of ours."""

from __future__ import annotations

from jobsvc.model.errors import (
    EtagMismatch,
    IdConflict,
    JobsvcError,
    QueueFull,
    StoreFull,
    StoreUnavailable,
)

_RETRY_LATER = (
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "NOREPLICAS",
    "MISCONF",
)


def to_error(text: str, label: str) -> JobsvcError:
    """Turn an error reply into an error of ours.

    Args:
        text: The reply, which begins with a word in capitals.
        label: The server's address, for messages.
    """
    word, _, rest = text.partition(" ")
    if word == "ID_CONFLICT":
        taken = rest.split(" ")[0]
        return IdConflict(
            f"{taken} was submitted before with another job type or other arguments; use another id", id=taken
        )
    if word == "QUEUE_FULL":
        queue, _, most = rest.partition(" ")
        return QueueFull(
            f"queue {queue} takes at most {most} waiting jobs (max_waiting); nothing was queued, try again later",
            queue=queue,
            max_waiting=most,
        )
    if word == "ETAG_MISMATCH":
        return EtagMismatch(
            f"queue {rest} was changed since you read it; read it again and repeat the change", queue=rest
        )
    if word == "OOM":
        return StoreFull(f"Redis at {label} is at its memory limit and takes no new jobs; running jobs go on")
    if word in _RETRY_LATER:
        return StoreUnavailable(f"Redis at {label} cannot do that now: {text}")
    # whoever has not said who they are may not even send a command as long as ours
    if word in ("NOAUTH", "WRONGPASS", "NOPERM") or "unauthenticated" in text:
        return StoreUnavailable(f"Redis at {label} refuses: {text}; check user and password in the Redis URL")
    return JobsvcError(f"Redis at {label} answered: {text}")


def is_missing_script(text: str) -> bool:
    """Whether Redis does not know the script, for example after a restart."""
    return text.startswith("NOSCRIPT")

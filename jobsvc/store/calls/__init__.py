"""Every question and command to the store, as values: what to send, and how to read the answer.

Nothing here does I/O; ``Store.run`` and ``AsyncStore.run`` do. All calls may be repeated when their answer was lost.
"""

from jobsvc.store.calls.call import Call as Call
from jobsvc.store.calls.catalog import LIVE_WORKER_MS as LIVE_WORKER_MS
from jobsvc.store.calls.catalog import announce_catalog as announce_catalog
from jobsvc.store.calls.catalog import forget_old_workers as forget_old_workers
from jobsvc.store.calls.catalog import forget_worker as forget_worker
from jobsvc.store.calls.catalog import publish_types as publish_types
from jobsvc.store.calls.catalog import read_types as read_types
from jobsvc.store.calls.catalog import read_workers as read_workers
from jobsvc.store.calls.catalog import worker_heartbeats as worker_heartbeats
from jobsvc.store.calls.reading import PLACES as PLACES
from jobsvc.store.calls.reading import QueueCounts as QueueCounts
from jobsvc.store.calls.reading import count_log_lines as count_log_lines
from jobsvc.store.calls.reading import counts as counts
from jobsvc.store.calls.reading import page as page
from jobsvc.store.calls.reading import queue_names as queue_names
from jobsvc.store.calls.reading import read as read
from jobsvc.store.calls.reading import read_batch as read_batch
from jobsvc.store.calls.reading import read_logs as read_logs
from jobsvc.store.calls.reading import read_states as read_states
from jobsvc.store.calls.running import CLAIM_LANES as CLAIM_LANES
from jobsvc.store.calls.running import MAX_LOG_LINES as MAX_LOG_LINES
from jobsvc.store.calls.running import Claim as Claim
from jobsvc.store.calls.running import Exchanged as Exchanged
from jobsvc.store.calls.running import Report as Report
from jobsvc.store.calls.running import cancel as cancel
from jobsvc.store.calls.running import cancel_seen as cancel_seen
from jobsvc.store.calls.running import exchange as exchange
from jobsvc.store.calls.running import log as log
from jobsvc.store.calls.running import progress as progress
from jobsvc.store.calls.running import renew as renew
from jobsvc.store.calls.running import unblock as unblock
from jobsvc.store.calls.running import wake as wake
from jobsvc.store.calls.submitting import EMPTY_BATCH_MS as EMPTY_BATCH_MS
from jobsvc.store.calls.submitting import STAGE_SIZE as STAGE_SIZE
from jobsvc.store.calls.submitting import Committed as Committed
from jobsvc.store.calls.submitting import Staged as Staged
from jobsvc.store.calls.submitting import Submitted as Submitted
from jobsvc.store.calls.submitting import abandoned as abandoned
from jobsvc.store.calls.submitting import abort as abort
from jobsvc.store.calls.submitting import commit as commit
from jobsvc.store.calls.submitting import stage as stage
from jobsvc.store.calls.submitting import submit as submit
from jobsvc.store.calls.upkeep import MAX_LOST_ATTEMPTS as MAX_LOST_ATTEMPTS
from jobsvc.store.calls.upkeep import MIN_RETENTION_MS as MIN_RETENTION_MS
from jobsvc.store.calls.upkeep import OUTAGE_MS as OUTAGE_MS
from jobsvc.store.calls.upkeep import REQUEST_MEMORY_MS as REQUEST_MEMORY_MS
from jobsvc.store.calls.upkeep import SWEEP_LIMIT as SWEEP_LIMIT
from jobsvc.store.calls.upkeep import Purged as Purged
from jobsvc.store.calls.upkeep import Swept as Swept
from jobsvc.store.calls.upkeep import acquire_duty as acquire_duty
from jobsvc.store.calls.upkeep import clock as clock
from jobsvc.store.calls.upkeep import purge as purge
from jobsvc.store.calls.upkeep import sweep as sweep

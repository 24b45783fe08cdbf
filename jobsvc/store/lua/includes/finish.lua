-- The end of an attempt. Only the holder of the present lease can report it; a late or repeated report changes nothing.

local function record_attempt(id, attempt, worker, start_ms, outcome, error_json, delay_ms)
  local entry = '{"number":' .. attempt .. ',"worker_id":' .. cjson.encode(worker) .. ',"start_ms":' .. start_ms
    .. ',"end_ms":' .. now .. ',"outcome":"' .. outcome .. '","error":' .. (error_json ~= '' and error_json or 'null')
    .. (delay_ms and ',"delay_ms":' .. string.format('%.0f', delay_ms) or '') .. '}'
  redis.call('RPUSH', part_key(id, 'attempts'), entry)
  redis.call('LTRIM', part_key(id, 'attempts'), -50, -1)
end

local LETTER = { completed = 'c', failed = 'f', cancelled = 'x' }

-- ran_ms: length of the attempt that ended with the job, nil when none did.
local function close_job(id, queue, state, version, batch, ran_ms)
  redis.call('HSET', job_key(id), 'state', state, 'version', version, 'end_ms', now)
  redis.call('ZADD', queue_key(queue, state), now, id)
  redis.call('HINCRBY', queue_key(queue, 'counters'), state, 1)
  meter(queue, LETTER[state], ran_ms)
  if state == 'failed' and batch and batch ~= '' then
    redis.call('LPUSH', batch_part(batch, 'failures'), id)
    redis.call('LTRIM', batch_part(batch, 'failures'), 0, 4)
  end
end

-- The start deadline of a job that waits has passed.
local function expire(id, queue, state, version, batch)
  redis.call('ZREM', queue_key(queue, 'deadlines'), id)
  redis.call('ZREM', queue_key(queue, state == 'queued' and 'ready' or 'scheduled'), id)
  redis.call('HSET', job_key(id), 'expired', '1')
  close_job(id, queue, 'cancelled', version, batch)
  moved(id, version, state, 'cancelled', batch)
end

-- A job that was claimed before (again) goes in front of those that became ready in the same millisecond.
local function make_ready(id, queue, version, since_ms, priority, again)
  local head_start_ms = HEAD_START[priority] or 0
  redis.call('HSET', job_key(id), 'state', 'queued', 'version', version)
  redis.call('ZADD', queue_key(queue, 'ready'), again and since_ms - head_start_ms or ready_score(since_ms, head_start_ms), id)
  wake(queue)
end

local function make_scheduled(id, queue, version, due_ms)
  local key = queue_key(queue, 'scheduled')
  redis.call('HSET', job_key(id), 'state', 'scheduled', 'version', version, 'due_ms', due_ms)
  redis.call('ZADD', key, due_ms, id)
  -- whoever waits for this queue computes its timer anew when this job is the next to become due
  if redis.call('ZRANGE', key, 0, 0)[1] == id then wake(queue) end
end

-- A lease has ended, however: the job no longer counts for its worker's own limit (see gates.lua).
local function let_go(id, queue, worker, held)
  redis.call('ZREM', queue_key(queue, 'leases'), id)
  if not held then return end
  redis.call('HDEL', job_key(id), 'held')
  local key = queue_key(queue, 'held')
  if redis.call('HINCRBY', key, worker, -1) <= 0 then redis.call('HDEL', key, worker) end
end

local MAX_SNOOZES = 10000

-- outcome: completed | failed | retried | snoozed | cancelled | released. Returns ok | already | lost, and the queue.
-- A job that was snoozed too often has failed; the body says so.
local function finish(id, token, outcome, delay_ms, body)
  local r = redis.call('HMGET', job_key(id), 'state', 'token', 'version', 'queue', 'batch', 'attempt', 'priority',
    'start_ms', 'worker', 'cancel_ms', 'due_ms', 'create_ms', 'held')
  if r[2] ~= token then return 'lost' end
  if r[1] ~= 'processing' then return 'already' end
  local version, queue, batch, attempt = r[3] + 1, r[4], r[5], r[6]
  let_go(id, queue, r[9], r[13])
  if r[10] and (outcome == 'failed' or outcome == 'retried' or outcome == 'released' or outcome == 'snoozed') then
    if outcome == 'snoozed' then body = '' end
    outcome = 'cancelled' -- told to stop: whatever else happened, it does not come back
  elseif outcome == 'snoozed' and redis.call('HINCRBY', job_key(id), 'snoozed', 1) > MAX_SNOOZES then
    outcome = 'failed'
  end
  local state = outcome
  if outcome == 'completed' then
    if body ~= '' then redis.call('SET', part_key(id, 'result'), body) end
    close_job(id, queue, 'completed', version, batch, now - r[8])
  elseif outcome == 'failed' or outcome == 'cancelled' then
    record_attempt(id, attempt, r[9], r[8], outcome, body)
    close_job(id, queue, outcome, version, batch, now - r[8])
  elseif outcome == 'released' then
    redis.call('HINCRBY', job_key(id), 'attempt', -1)
    if delay_ms > 0 then
      state = 'scheduled'
      make_scheduled(id, queue, version, now + delay_ms)
    else
      state = 'queued'
      make_ready(id, queue, version, tonumber(r[11] or r[12]), r[7], true)
    end
  else -- retried, snoozed
    if outcome == 'retried' then
      record_attempt(id, attempt, r[9], r[8], outcome, body, delay_ms)
      redis.call('HINCRBY', queue_key(queue, 'counters'), 'retried', 1)
      meter(queue, 'r', now - r[8])
    else
      redis.call('HINCRBY', job_key(id), 'attempt', -1)
    end
    state = 'scheduled'
    make_scheduled(id, queue, version, now + delay_ms)
  end
  moved(id, version, 'processing', state, batch)
  return 'ok', queue
end

-- Leases ready jobs to a worker: attempt + 1, a new token, a lease, and the state processing.

local function hand_over(id, r)
  return { id, r[1], r[2], r[3], tonumber(r[4]), tonumber(r[5] or 0), r[6] or '', tonumber(r[7] or 0), tonumber(r[8] or 0),
    tonumber(r[10] or 0), redis.call('GET', part_key(id, 'arguments')) or '{}', r[9] and redis.call('GET', part_key(id, 'spec')) or '' }
end

local HANDED = { 'token', 'type', 'queue', 'attempt', 'lost', 'batch', 'max_attempts', 'timeout_ms', 'spec', 'spared' }

-- score: the place that the job had in the line, see ready_score.
local function start(id, gate, worker, lease_ms, score)
  local key, queue = job_key(id), gate.queue
  local r = redis.call('HMGET', key, 'state', 'version', 'type', 'attempt', 'lost', 'batch', 'max_attempts', 'timeout_ms', 'spec',
    'priority', 'spared', 'expire_ms')
  if r[1] ~= 'queued' then return nil end
  if r[12] and not r[4] then
    if tonumber(r[12]) <= now then expire(id, queue, 'queued', r[2] + 1, r[6]); return nil end
    redis.call('ZREM', queue_key(queue, 'deadlines'), id)
  end
  local version, attempt = r[2] + 1, (r[4] or 0) + 1
  redis.call('HSET', key, 'state', 'processing', 'version', version, 'token', version, 'attempt', attempt,
    'start_ms', now, 'worker', worker)
  if gate.per_worker then redis.call('HSET', key, 'held', '1') end
  redis.call('ZADD', queue_key(queue, 'leases'), now + lease_ms, id)
  meter(queue, 'w', now - score - (HEAD_START[r[10]] or 0))
  moved(id, version, 'queued', 'processing', r[6])
  return hand_over(id, { tostring(version), r[3], queue, attempt, r[5], r[6], r[7], r[8], r[9], r[11] })
end

-- Jobs that may start now, out of one queue.
local function take(gate, worker, lease_ms, want, jobs, ids)
  local queue, ready = gate.queue, queue_key(gate.queue, 'ready')
  local free = room(gate, worker)
  local wanted, before = math.min(want - #jobs, free), #jobs
  while wanted > #jobs - before do
    local popped = redis.call('ZPOPMIN', ready, wanted - (#jobs - before))
    if #popped == 0 then break end
    for i = 1, #popped, 2 do
      local job = start(popped[i], gate, worker, lease_ms, popped[i + 1])
      if job then jobs[#jobs + 1] = job; ids[#ids + 1] = popped[i] end
    end
  end
  local started = #jobs - before
  use_rate(gate, started)
  if gate.per_worker and started > 0 then
    gate.full = redis.call('HINCRBY', queue_key(queue, 'held'), worker, started) >= gate.per_worker
  end
  if redis.call('ZCARD', ready) == 0 then return end
  -- pass the baton: whoever waits next finds the rest. A gate that is shut for all is opened by whoever changes that, or by
  -- time; one that is shut for this worker alone is open to others.
  if free > started or gate.full then wake(queue) end
  if gate.units then
    local left, opens_in_ms = rate_room(gate)
    if left == 0 then gate.opens_in_ms = opens_in_ms end
  end
end

-- Returns the jobs, and the gates of the queues that were looked at.
local function claim(worker, request, lane, lease_ms, want, queues)
  local last_key = claim_key(worker, lane)
  local last = redis.call('GET', last_key)
  local jobs, ids, gates = {}, {}, {}
  if last and string.sub(last, 1, #request + 1) == request .. ' ' then
    -- the answer to this very request was lost on the way: give it again
    for id in string.gmatch(string.sub(last, #request + 2), '%S+') do
      local r = redis.call('HMGET', job_key(id), unpack(HANDED))
      local now_held = redis.call('HMGET', job_key(id), 'state', 'worker')
      if now_held[1] == 'processing' and now_held[2] == worker then jobs[#jobs + 1] = hand_over(id, r) end
    end
    return jobs, gates
  end
  if want == 0 then return jobs, gates end
  for _, queue in ipairs(queues) do
    gates[queue] = gate_of(queue)
    take(gates[queue], worker, lease_ms, want, jobs, ids)
  end
  if #ids > 0 then redis.call('SET', last_key, request .. ' ' .. table.concat(ids, ' '), 'EX', 120) end
  return jobs, gates
end

-- Leases ready jobs to a worker: attempt + 1, a new token, a lease, and the state processing.

local function hand_over(id, r)
  return { id, r[1], r[2], r[3], tonumber(r[4]), tonumber(r[5] or 0), r[6] or '', tonumber(r[7] or 0), tonumber(r[8] or 0),
    redis.call('GET', part_key(id, 'arguments')) or '{}', r[9] and redis.call('GET', part_key(id, 'spec')) or '' }
end

local HANDED = { 'token', 'type', 'queue', 'attempt', 'lost', 'batch', 'max_attempts', 'timeout_ms', 'spec' }

-- score: the place that the job had in the line, see ready_score.
local function start(id, queue, worker, lease_ms, score)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'version', 'type', 'attempt', 'lost', 'batch', 'max_attempts', 'timeout_ms', 'spec',
    'priority')
  if r[1] ~= 'queued' then return nil end
  local version, attempt = r[2] + 1, (r[4] or 0) + 1
  redis.call('HSET', key, 'state', 'processing', 'version', version, 'token', version, 'attempt', attempt,
    'start_ms', now, 'worker', worker)
  redis.call('ZADD', queue_key(queue, 'leases'), now + lease_ms, id)
  meter(queue, 'w', now - score - (HEAD_START[r[10]] or 0))
  moved(id, version, 'queued', 'processing', r[6])
  return hand_over(id, { tostring(version), r[3], queue, attempt, r[5], r[6], r[7], r[8], r[9] })
end

local function claim(worker, request, lane, lease_ms, want, queues)
  local last_key = claim_key(worker, lane)
  local last = redis.call('GET', last_key)
  local jobs = {}
  if last and string.sub(last, 1, #request + 1) == request .. ' ' then
    -- the answer to this very request was lost on the way: give it again
    for id in string.gmatch(string.sub(last, #request + 2), '%S+') do
      local r = redis.call('HMGET', job_key(id), unpack(HANDED))
      local now_held = redis.call('HMGET', job_key(id), 'state', 'worker')
      if now_held[1] == 'processing' and now_held[2] == worker then jobs[#jobs + 1] = hand_over(id, r) end
    end
    return jobs
  end
  if want == 0 then return jobs end
  local ids = {}
  for _, queue in ipairs(queues) do
    local ready = queue_key(queue, 'ready')
    while want > #jobs do
      local popped = redis.call('ZPOPMIN', ready, want - #jobs)
      if #popped == 0 then break end
      for i = 1, #popped, 2 do
        local job = start(popped[i], queue, worker, lease_ms, popped[i + 1])
        if job then jobs[#jobs + 1] = job; ids[#ids + 1] = popped[i] end
      end
    end
    -- pass the baton: whoever waits next finds the rest
    if want <= #jobs and redis.call('ZCARD', ready) > 0 then wake(queue) end
  end
  if #ids > 0 then redis.call('SET', last_key, request .. ' ' .. table.concat(ids, ' '), 'EX', 120) end
  return jobs
end

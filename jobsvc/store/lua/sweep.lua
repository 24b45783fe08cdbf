--[[ sweep: what has to happen as time goes by: scheduled jobs become ready, jobs whose start deadline has passed are
     cancelled, expired leases are taken back.
KEYS 1 tag of the shard
ARGV 1 outage_ms: when nobody has swept for longer, Redis was away or its clock jumped, and all leases are moved on by
     the gap before anything is reaped; 2 max_lost_attempts unless the job has its own; 3 error of a job that was lost
     too often (JSON); 4 most jobs handled per queue and kind
Returns {promoted, reaped, leases moved on by this many ms}
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core meter finish promote
local limit = tonumber(ARGV[4])
local last = tonumber(redis.call('GETSET', P .. ':swept_ms', now) or now)
local gap = now - last
if gap <= tonumber(ARGV[1]) then gap = 0 end
local promoted, reaped = 0, 0

local function reap(id, queue)
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'version', 'batch', 'attempt', 'lost', 'max_lost', 'cancel_ms', 'worker',
    'start_ms', 'due_ms', 'create_ms', 'priority', 'held', 'lost_spared')
  let_go(id, queue, r[8], r[13])
  if r[1] ~= 'processing' then return end
  local version, lost = r[2] + 1, (r[5] or 0) + 1
  redis.call('HSET', key, 'lost', lost)
  redis.call('HDEL', key, 'token') -- whoever had the lease is told that it is lost, also before somebody else has it
  redis.call('HINCRBY', queue_key(queue, 'counters'), 'lost', 1)
  local state = 'queued'
  if r[7] then state = 'cancelled' elseif lost - (r[14] or 0) > tonumber(r[6] or ARGV[2]) then state = 'failed' end
  record_attempt(id, r[4], r[8], r[9], 'lost', ARGV[3])
  if state == 'queued' then
    make_ready(id, queue, version, tonumber(r[10] or r[11]), r[12], true)
  else
    close_job(id, queue, state, version, r[3])
  end
  moved(id, version, 'processing', state, r[3])
  reaped = reaped + 1
end

local function pass_deadline(id, queue)
  local r = redis.call('HMGET', job_key(id), 'state', 'version', 'batch', 'attempt')
  if (r[1] == 'queued' or r[1] == 'scheduled') and not r[4] then
    expire(id, queue, r[1], r[2] + 1, r[3])
  else
    redis.call('ZREM', queue_key(queue, 'deadlines'), id)
  end
end

for _, queue in ipairs(redis.call('SMEMBERS', QUEUES)) do
  local leases = queue_key(queue, 'leases')
  if gap > 0 then
    for _, id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do redis.call('ZINCRBY', leases, gap, id) end
  end
  promoted = promoted + promote(queue)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', queue_key(queue, 'deadlines'), '-inf', now, 'LIMIT', 0, limit)) do
    pass_deadline(id, queue)
  end
  local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(ended) do reap(id, queue) end
  if #ended > 0 and redis.call('ZCARD', queue_key(queue, 'ready')) > 0 then wake(queue) end
end
return { promoted, reaped, gap }

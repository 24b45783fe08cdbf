--[[ counts: how many jobs are where, by queue.
KEYS 1 tag of the shard
ARGV queues; none means all
Returns {now_ms, per queue: {name, ready, leases, scheduled, completed, failed, cancelled, ready_ms of the first in line
     less its head start or -1, counters (name, value, ...), 1 when paused}}
Errors none
Events none ]]
#flags no-writes
#include keys clock
local queues = #ARGV > 0 and ARGV or redis.call('SMEMBERS', QUEUES)
table.sort(queues)
local answer = { now }
for _, queue in ipairs(queues) do
  local row = { queue }
  for _, part in ipairs({ 'ready', 'leases', 'scheduled', 'completed', 'failed', 'cancelled' }) do
    row[#row + 1] = redis.call('ZCARD', queue_key(queue, part))
  end
  local first = redis.call('ZRANGE', queue_key(queue, 'ready'), 0, 0)[1]
  local since = first and redis.call('HMGET', job_key(first), 'due_ms', 'create_ms') or {}
  row[#row + 1] = tonumber(since[1] or since[2] or -1)
  row[#row + 1] = redis.call('HGETALL', queue_key(queue, 'counters'))
  row[#row + 1] = redis.call('HEXISTS', queue_key(queue, 'settings'), 'paused')
  answer[#answer + 1] = row
end
return answer

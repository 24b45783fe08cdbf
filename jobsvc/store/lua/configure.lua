--[[ configure: change settings of a queue.
KEYS 1 tag of the shard
ARGV 1 queue, 2 update | declare: what was updated is not declared any more; 3 etag that the queue must have, or '';
     4 how many fields, then their names, each with its value ('' takes it away)
Returns {1 when something changed | 0, field, value, ...}: the settings as they are now
Errors ETAG_MISMATCH when the queue has another etag; nothing was changed
Events catalog ]]
#flags allow-oom
#include keys clock core
local queue, how = ARGV[1], ARGV[2]
local key = queue_key(queue, 'settings')
local etag = redis.call('HGET', key, 'etag') or '0'
if ARGV[3] ~= '' and ARGV[3] ~= etag then return redis.error_reply('ETAG_MISMATCH ' .. queue) end
local updated = {}
for name in string.gmatch(redis.call('HGET', key, 'updated') or '', '%S+') do updated[name] = true end
local changed = false
for i = 1, tonumber(ARGV[4]) do
  local name, value = ARGV[3 + 2 * i], ARGV[4 + 2 * i]
  if how == 'update' or not updated[name] then
    if (redis.call('HGET', key, name) or '') ~= value then
      changed = true
      if value == '' then redis.call('HDEL', key, name) else redis.call('HSET', key, name, value) end
    end
    if how == 'update' and not updated[name] then updated[name] = true; changed = true end
  end
end
redis.call('SADD', QUEUES, queue)
if changed then
  local names = {}
  for name in pairs(updated) do names[#names + 1] = name end
  table.sort(names)
  if #names > 0 then redis.call('HSET', key, 'updated', table.concat(names, ' ')) end
  redis.call('HSET', key, 'etag', etag + 1)
  -- jobs that run already count for the limits, too
  redis.call('DEL', queue_key(queue, 'held'))
  local counted = redis.call('HEXISTS', key, 'max_concurrency_per_worker') == 1
  for _, id in ipairs(redis.call('ZRANGE', queue_key(queue, 'leases'), 0, -1)) do
    if counted then
      redis.call('HINCRBY', queue_key(queue, 'held'), redis.call('HGET', job_key(id), 'worker'), 1)
      redis.call('HSET', job_key(id), 'held', '1')
    else
      redis.call('HDEL', job_key(id), 'held')
    end
  end
  wake(queue)
  redis.call('PUBLISH', CATALOG, 'changed')
end
local answer = redis.call('HGETALL', key)
table.insert(answer, 1, changed and 1 or 0)
return answer

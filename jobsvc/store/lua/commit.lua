--[[ commit: make the staged jobs of a batch visible, all at once.
KEYS 1 tag of the shard
ARGV 1 batch id, 2 how long a batch without jobs is kept (ms)
Returns {created (1 | 0), number of jobs, create_ms}; a batch that is committed already stays as it is
Errors BATCH_NOT_STAGED when nothing was staged, or when it was swept away as abandoned; QUEUE_FULL when more jobs would
     wait than a queue takes: it stays staged; OOM at the memory limit
Events watch:<batch> ]]
#include keys clock core
local batch = ARGV[1]
local bkey, places = batch_key(batch), batch_part(batch, 'staged')
local b = redis.call('HMGET', bkey, 'staged', 'total', 'create_ms')
if not b[3] then
  if redis.call('EXISTS', part_key(batch, 'remembered')) == 1 then return { 0, 0, now } end
  return redis.error_reply('BATCH_NOT_STAGED ' .. batch)
end
if not b[1] then return { 0, tonumber(b[2]), tonumber(b[3]) } end
local total, counts, more = 0, { ready = 0, scheduled = 0 }, {}
local staged_places = redis.call('SMEMBERS', places)
for _, place in ipairs(staged_places) do
  local queue, line = string.match(place, '^(.*):(%a+)$')
  if counts[line] then more[queue] = (more[queue] or 0) + redis.call('ZCARD', places .. '/' .. place) end
end
for queue, count in pairs(more) do
  local full = queue_full(queue, count)
  if full then return redis.error_reply('QUEUE_FULL ' .. queue .. ' ' .. full) end
end
for _, place in ipairs(staged_places) do
  local queue, line = string.match(place, '^(.*):(%a+)$')
  local staged = redis.call('ZRANGE', places .. '/' .. place, 0, -1, 'WITHSCORES')
  local members = {}
  for i = 1, #staged, 2 do
    members[#members + 1] = line == 'ready' and (now + staged[i + 1]) or staged[i + 1]
    members[#members + 1] = staged[i]
    if #members >= 1000 or i + 2 > #staged then
      redis.call('ZADD', queue_key(queue, line), unpack(members))
      members = {}
    end
  end
  if counts[line] then
    counts[line] = counts[line] + #staged / 2
    total = total + #staged / 2
  end
  redis.call('DEL', places .. '/' .. place)
  redis.call('SADD', QUEUES, queue)
  wake(queue)
end
redis.call('DEL', places)
redis.call('HDEL', bkey, 'staged')
redis.call('HSET', bkey, 'version', 1, 'total', total, 'open', total, 'kept', total, 'queued', counts.ready,
  'scheduled', counts.scheduled)
if total == 0 then
  redis.call('HSET', bkey, 'end_ms', now)
  redis.call('PEXPIRE', bkey, ARGV[2]) -- retention goes by jobs, and this batch has none
end
redis.call('ZREM', P .. ':staging', batch)
redis.call('PUBLISH', watch_channel(batch), '')
return { 1, total, tonumber(b[3]) }

--[[ submit: add one job.
KEYS 1 tag of the shard
ARGV 1 id, 2 type, 3 queue, 4 arguments (JSON), 5 priority (10..40), 6 delay_ms, 7 not_before_ms, 8 max_attempts,
     9 max_lost_attempts, 10 timeout_ms, 11 spec (JSON or ''), 12 from_request ('1' or ''), 13 expire_ms: start deadline or 0
Returns {created (1 | 0), state, version, create_ms, due_ms}; a job that exists with the same type and arguments is
     returned, not added again
Errors ID_CONFLICT when the id is taken by a job of another type or with other arguments, or by a batch that is only
     staged; QUEUE_FULL when as many jobs wait as the queue takes; OOM at the memory limit
Events watch:<id> ]]
#include keys clock core meter finish staged
local id, type, queue = ARGV[1], ARGV[2], ARGV[3]
local key = job_key(id)
local found = redis.call('HMGET', key, 'state', 'version', 'create_ms', 'due_ms', 'type', 'batch')
if found[1] or redis.call('EXISTS', part_key(id, 'remembered')) == 1 then
  if not found[1] then return { 0, 'gone', 0, now, 0 } end
  if found[5] ~= type or staged(found[6]) or redis.call('GET', part_key(id, 'arguments')) ~= ARGV[4] then
    return redis.error_reply('ID_CONFLICT ' .. id)
  end
  return { 0, found[1], tonumber(found[2]), tonumber(found[3]), tonumber(found[4] or 0) }
end
local full = queue_full(queue, 1)
if full then return redis.error_reply('QUEUE_FULL ' .. queue .. ' ' .. full) end
local due_ms = math.max(tonumber(ARGV[6]) > 0 and now + ARGV[6] or 0, tonumber(ARGV[7]))
local record = { 'type', type, 'queue', queue, 'priority', ARGV[5], 'create_ms', now }
for field, value in pairs({ max_attempts = ARGV[8], max_lost = ARGV[9], timeout_ms = ARGV[10],
  expire_ms = ARGV[13] }) do
  if value ~= '0' then record[#record + 1] = field; record[#record + 1] = value end
end
if ARGV[11] ~= '' then
  redis.call('SET', part_key(id, 'spec'), ARGV[11])
  record[#record + 1] = 'spec'; record[#record + 1] = '1'
end
if ARGV[12] ~= '' then record[#record + 1] = 'request'; record[#record + 1] = '1' end
redis.call('HSET', key, unpack(record))
redis.call('SET', part_key(id, 'arguments'), ARGV[4])
redis.call('SADD', QUEUES, queue)
if ARGV[13] ~= '0' then redis.call('ZADD', queue_key(queue, 'deadlines'), ARGV[13], id) end
local state = 'queued'
if due_ms > now then
  state = 'scheduled'
  make_scheduled(id, queue, 1, due_ms)
else
  due_ms = 0
  make_ready(id, queue, 1, now, ARGV[5])
end
announce(id, 1, state)
return { 1, state, 1, now, due_ms }

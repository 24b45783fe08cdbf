--[[ stage: write some jobs of a batch, invisible until commit.
KEYS 1 tag of the shard
ARGV 1 batch id, 2 size of the batch, 3 fingerprint of the batch, 4 spec of the batch (JSON), 5 from_request ('1' or ''),
     6 number of templates, 7 number of jobs,
     then per template: type, queue, priority, delay_ms, not_before_ms, max_attempts, max_lost_attempts, timeout_ms,
     spec (JSON or ''), expire_ms (start deadline or 0),
     then per job: index, template (from 1), id ('' for <batch>.<index>), arguments (JSON)
Returns {committed already (1 | 0), index of each job whose id is taken ...}
Errors ID_CONFLICT when the batch id is taken by a batch with other content; OOM at the memory limit
Events none ]]
#include keys clock core
local batch, size = ARGV[1], tonumber(ARGV[2])
local bkey, named, staged = batch_key(batch), batch_part(batch, 'named'), batch_part(batch, 'staged')
local found = redis.call('HMGET', bkey, 'fingerprint', 'staged')
if found[1] and found[1] ~= ARGV[3] then return redis.error_reply('ID_CONFLICT ' .. batch) end
if found[1] and not found[2] then return { 1 } end
if not found[1] then
  if redis.call('EXISTS', part_key(batch, 'remembered')) == 1 then return { 1 } end
  redis.call('HSET', bkey, 'fingerprint', ARGV[3], 'staged', 1, 'size', size, 'spec', ARGV[4], 'create_ms', now,
    'request', ARGV[5])
end
redis.call('ZADD', P .. ':staging', now, batch)
local templates, at = {}, 8
for i = 1, tonumber(ARGV[6]) do
  local t = {}
  for j = 0, 9 do t[j + 1] = ARGV[at + j] end
  t.record = { 'version', 1, 'type', t[1], 'queue', t[2], 'priority', t[3], 'create_ms', now, 'batch', batch }
  if t[6] ~= '0' then t.record[#t.record + 1] = 'max_attempts'; t.record[#t.record + 1] = t[6] end
  if t[7] ~= '0' then t.record[#t.record + 1] = 'max_lost'; t.record[#t.record + 1] = t[7] end
  if t[8] ~= '0' then t.record[#t.record + 1] = 'timeout_ms'; t.record[#t.record + 1] = t[8] end
  if t[9] ~= '' then t.record[#t.record + 1] = 'spec'; t.record[#t.record + 1] = '1' end
  if t[10] ~= '0' then t.record[#t.record + 1] = 'expire_ms'; t.record[#t.record + 1] = t[10] end
  t.due_ms = math.max(tonumber(t[4]) > 0 and now + t[4] or 0, tonumber(t[5]))
  t.record[#t.record + 1] = 'state'
  if t.due_ms > now then
    t.record[#t.record + 1] = 'scheduled'
    t.record[#t.record + 1] = 'due_ms'; t.record[#t.record + 1] = t.due_ms
    t.place = t[2] .. ':scheduled'
  else
    t.record[#t.record + 1] = 'queued'
    t.place = t[2] .. ':ready'
    t.head_start_ms = HEAD_START[t[3]] or 0
  end
  templates[i] = t
  at = at + 10
end
local answer, places = { 0 }, {}
local function put(place, score, id)
  local members = places[place] or {}
  places[place] = members
  members[#members + 1] = score
  members[#members + 1] = id
end
for i = 1, tonumber(ARGV[7]) do
  local index, t, id = ARGV[at], templates[tonumber(ARGV[at + 1])], ARGV[at + 2]
  if id ~= '' then redis.call('HSET', named, index, id) else id = batch .. '.' .. index end
  local key = job_key(id)
  local owner = redis.call('HMGET', key, 'batch', 'type')
  if owner[2] and owner[1] ~= batch then
    answer[#answer + 1] = index
    redis.call('HDEL', named, index)
  elseif not owner[2] then -- what is staged already stays as it is: by now it might belong to another line
    redis.call('HSET', key, unpack(t.record))
    redis.call('SET', part_key(id, 'arguments'), ARGV[at + 3])
    if t[9] ~= '' then redis.call('SET', part_key(id, 'spec'), t[9]) end
    if t[10] ~= '0' then put(t[2] .. ':deadlines', t[10], id) end
    -- a ready job gets its place in the line when the batch is committed: until then only what follows from its index
    put(t.place, t.head_start_ms and (index / 4096 - t.head_start_ms) or t.due_ms, id)
  end
  at = at + 4
end
for place, members in pairs(places) do
  redis.call('SADD', staged, place)
  redis.call('ZADD', staged .. '/' .. place, unpack(members))
end
return answer

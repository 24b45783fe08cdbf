--[[ remove: make an end of jobs that do not run, as if they had never been. A waiting one counts as cancelled for its batch.
KEYS 1 tag of the shard
ARGV 1 state that they must be in, 2 least age (ms) since their end, or since they were submitted if they have not ended;
     3 how long request ids are remembered (ms), then ids
Returns per id: 1 when it was removed, 0 when it was left alone
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core staged forget
local PLACES = { queued = 'ready', scheduled = 'scheduled', completed = 'completed', failed = 'failed',
  cancelled = 'cancelled' }
local state, answer = ARGV[1], {}
local waits = state == 'queued' or state == 'scheduled'
for i = 4, #ARGV do
  local id = ARGV[i]
  local r = redis.call('HMGET', job_key(id), 'state', 'version', 'queue', 'batch', 'create_ms', 'end_ms', 'request')
  local old = r[1] == state and now - (r[6] or r[5]) >= tonumber(ARGV[2])
  if not old or staged(r[4]) then
    answer[#answer + 1] = 0
  else
    redis.call('ZREM', queue_key(r[3], PLACES[state]), id)
    if waits then redis.call('ZREM', queue_key(r[3], 'deadlines'), id) end
    if r[4] and state == 'failed' then redis.call('LREM', batch_part(r[4], 'failures'), 0, id) end
    if waits then moved(id, r[2] + 1, state, 'cancelled', r[4]) else announce(id, r[2] + 1, state, r[4]) end
    forget_job(id, r[4], r[7], r[5], ARGV[3])
    answer[#answer + 1] = 1
  end
end
return answer

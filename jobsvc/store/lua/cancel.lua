--[[ cancel: stop jobs. A waiting job is cancelled at once; the worker of a running one is told.
KEYS 1 tag of the shard
ARGV 1 who and why (JSON with reason and requested_by), then ids
Returns per id: cancelled | requested | finished | missing
Errors none
Events control, watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core meter finish staged
local answer = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local r = redis.call('HMGET', job_key(id), 'state', 'version', 'queue', 'batch', 'token', 'cancel_ms', 'expire_ms')
  local state = r[1]
  if not state or staged(r[4]) then
    answer[#answer + 1] = 'missing'
  elseif state == 'processing' then
    if not r[6] then
      redis.call('HSET', job_key(id), 'cancel_ms', now, 'version', r[2] + 1)
      redis.call('SET', part_key(id, 'cancel'), ARGV[1])
      announce(id, r[2] + 1, state, r[4])
    end
    redis.call('PUBLISH', CONTROL, 'cancel ' .. id .. ' ' .. r[5])
    answer[#answer + 1] = 'requested'
  elseif state == 'completed' or state == 'failed' or state == 'cancelled' then
    answer[#answer + 1] = 'finished'
  else
    redis.call('ZREM', queue_key(r[3], 'ready'), id)
    redis.call('ZREM', queue_key(r[3], 'scheduled'), id)
    if r[7] then redis.call('ZREM', queue_key(r[3], 'deadlines'), id) end
    redis.call('HSET', job_key(id), 'cancel_ms', now)
    redis.call('SET', part_key(id, 'cancel'), ARGV[1])
    close_job(id, r[3], 'cancelled', r[2] + 1, r[4])
    moved(id, r[2] + 1, state, 'cancelled', r[4])
    answer[#answer + 1] = 'cancelled'
  end
end
return answer

--[[ read: records of jobs.
KEYS 1 tag of the shard
ARGV 1 basic | full, then ids
Returns per id: false, or {record (field, value, ...), progress, spec, cancel, last attempt, how long its queue keeps it
     (ms; false when it has no setting of its own, or the job has not ended), arguments, result, attempts}; the last three
     only in full
Errors none
Events none ]]
#flags no-writes
#include keys staged
local ENDED = { completed = true, failed = true, cancelled = true }
local full, answer = ARGV[1] == 'full', {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGETALL', job_key(id))
  local r = redis.call('HMGET', job_key(id), 'batch', 'state', 'queue')
  if #record == 0 or staged(r[1]) then
    answer[#answer + 1] = false
  else
    answer[#answer + 1] = { record, redis.call('GET', part_key(id, 'progress')), redis.call('GET', part_key(id, 'spec')),
      redis.call('GET', part_key(id, 'cancel')), redis.call('LINDEX', part_key(id, 'attempts'), -1),
      ENDED[r[2]] == true and redis.call('HGET', queue_key(r[3], 'settings'), r[2] .. '_age_ms'),
      full and redis.call('GET', part_key(id, 'arguments')), full and redis.call('GET', part_key(id, 'result')),
      full and redis.call('LRANGE', part_key(id, 'attempts'), 0, -1) }
  end
end
return answer

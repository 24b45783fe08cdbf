--[[ failures: what failed jobs failed with, and little else: what a filter over dead letters needs.
KEYS 1 tag of the shard
ARGV ids
Returns per id: false when it has not failed, or {type, last attempt (JSON or '')}
Errors none
Events none ]]
#flags no-writes
#include keys
local answer = {}
for i = 1, #ARGV do
  local r = redis.call('HMGET', job_key(ARGV[i]), 'state', 'type')
  answer[i] = r[1] == 'failed' and { r[2], redis.call('LINDEX', part_key(ARGV[i], 'attempts'), -1) or '' }
end
return answer

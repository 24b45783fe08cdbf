--[[ read_states: where jobs are, and little else: what a filter over many jobs needs.
KEYS 1 tag of the shard
ARGV ids
Returns per id: false, or {state, type, queue}
Errors none
Events none ]]
#flags no-writes
#include keys
local answer = {}
for i = 1, #ARGV do
  local r = redis.call('HMGET', job_key(ARGV[i]), 'state', 'type', 'queue')
  answer[i] = r[1] and r
end
return answer

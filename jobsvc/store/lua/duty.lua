--[[ duty: take or keep the duty of doing what one server does for all.
KEYS 1 tag of the shard
ARGV 1 who asks, 2 how long the duty lasts without being renewed (ms)
Returns 1 when the caller has the duty, 0 when another one has it
Errors none
Events none ]]
#flags allow-oom
#include keys
local key = P .. ':duty'
local holder = redis.call('GET', key)
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
return 1

--[[ cancel_seen: note how far the cancellation of a running job got.
KEYS 1 tag of the shard
ARGV 1 id, 2 token, 3 deliver | kill
Returns 1 when noted, 0 when the lease is lost or nothing was cancelled
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core
local id = ARGV[1]
local r = redis.call('HMGET', job_key(id), 'token', 'state', 'version', 'batch', 'cancel_ms')
if r[1] ~= ARGV[2] or r[2] ~= 'processing' or not r[5] then return 0 end
redis.call('HSETNX', job_key(id), ARGV[3] .. '_ms', now)
redis.call('HSET', job_key(id), 'version', r[3] + 1)
announce(id, r[3] + 1, 'processing', r[4])
return 1

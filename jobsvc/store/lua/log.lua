--[[ log: append lines that a running handler wrote.
KEYS 1 tag of the shard
ARGV 1 id, 2 token, 3 most lines kept, then lines (JSON each)
Returns number of lines ever written, or -1 when the lease is lost and nothing was written
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core
local id = ARGV[1]
local r = redis.call('HMGET', job_key(id), 'token', 'state', 'version', 'batch')
if r[1] ~= ARGV[2] or r[2] ~= 'processing' then return -1 end
for i = 4, #ARGV do redis.call('RPUSH', part_key(id, 'logs'), ARGV[i]) end
redis.call('LTRIM', part_key(id, 'logs'), -ARGV[3], -1)
local lines = redis.call('HINCRBY', job_key(id), 'log_lines', #ARGV - 3)
redis.call('HSET', job_key(id), 'version', r[3] + 1)
announce(id, r[3] + 1, 'processing', r[4])
return lines

--[[ abort: take back a batch that was staged and not committed.
KEYS 1 tag of the shard
ARGV 1 batch id, 2 only if staged before this instant (ms), or 0 for always
Returns 1 when it was taken back, 0 when there was nothing staged
Errors none
Events none ]]
#flags allow-oom
#include keys clock core
local batch = ARGV[1]
local places = batch_part(batch, 'staged')
local since = redis.call('ZSCORE', P .. ':staging', batch)
if not since or (ARGV[2] ~= '0' and tonumber(since) >= tonumber(ARGV[2])) then return 0 end
for _, place in ipairs(redis.call('SMEMBERS', places)) do
  for _, id in ipairs(redis.call('ZRANGE', places .. '/' .. place, 0, -1)) do
    redis.call('UNLINK', job_key(id), part_key(id, 'arguments'), part_key(id, 'spec'))
  end
  redis.call('UNLINK', places .. '/' .. place)
end
redis.call('UNLINK', batch_key(batch), places, batch_part(batch, 'named'))
redis.call('ZREM', P .. ':staging', batch)
return 1

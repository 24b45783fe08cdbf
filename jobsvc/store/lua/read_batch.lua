--[[ read_batch: the record of a batch.
KEYS 1 tag of the shard
ARGV 1 batch id, 2 named | '': whether the named items are wanted
Returns false, or {record (field, value, ...), ids of the newest failures, named items (index, id, ...)}; a batch that is
     only staged does not exist yet
Errors none
Events none ]]
#flags no-writes
#include keys
local key = batch_key(ARGV[1])
local record = redis.call('HGETALL', key)
if #record == 0 or redis.call('HEXISTS', key, 'staged') == 1 then return false end
return { record, redis.call('LRANGE', key .. ':failures', 0, -1), ARGV[2] == 'named' and redis.call('HGETALL', key .. ':named') or {} }

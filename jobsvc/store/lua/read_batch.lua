--[[ read_batch: the record of a batch.
KEYS 1 tag of the shard
ARGV 1 batch id, 2 named | '': whether the named items are wanted
Returns false, or {record (field, value, ...), ids of the newest failures, named items (index, id, ...)}; a batch that is
     only staged does not exist yet
Errors none
Events none ]]
#flags no-writes
#include keys
local batch = ARGV[1]
local key = batch_key(batch)
local record = redis.call('HGETALL', key)
if #record == 0 or redis.call('HEXISTS', key, 'staged') == 1 then return false end
local named = ARGV[2] == 'named' and redis.call('HGETALL', batch_part(batch, 'named')) or {}
return { record, redis.call('LRANGE', batch_part(batch, 'failures'), 0, -1), named }

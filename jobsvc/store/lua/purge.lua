--[[ purge: remove finished jobs that are no longer kept, oldest first.
KEYS 1 tag of the shard
ARGV 1 queue, 2 completed | failed | cancelled, 3 max_age_ms, 4 max_count (0 for no limit), 5 min_age_ms: younger ones
     always stay, 6 position to begin at, 7 most jobs looked at, 8 how long request ids are remembered (ms)
Returns {removed, left alone because their batch still runs, 1 when there may be more}
Errors none
Events none ]]
#flags allow-oom
#include keys clock core
local key, at, limit = queue_key(ARGV[1], ARGV[2]), tonumber(ARGV[6]), tonumber(ARGV[7])
local surplus = tonumber(ARGV[4]) > 0 and redis.call('ZCARD', key) - tonumber(ARGV[4]) or 0
local oldest = redis.call('ZRANGE', key, at, at + limit - 1, 'WITHSCORES')
local removed, kept = 0, 0

local function remember(id, create_ms)
  local left = create_ms + ARGV[8] - now
  if left > 0 then redis.call('SET', part_key(id, 'remembered'), 1, 'PX', math.ceil(left)) end
end

local function forget_batch(batch)
  local bkey = batch_key(batch)
  if redis.call('HINCRBY', bkey, 'kept', -1) > 0 then return end
  local b = redis.call('HMGET', bkey, 'request', 'create_ms')
  if b[1] == '1' then remember(batch, tonumber(b[2])) end
  redis.call('UNLINK', bkey, batch_part(batch, 'named'), batch_part(batch, 'failures'))
end

for i = 1, #oldest, 2 do
  local id, age_ms = oldest[i], now - oldest[i + 1]
  local wanted = age_ms > tonumber(ARGV[3]) or at + kept + removed < surplus
  if age_ms < tonumber(ARGV[5]) or not wanted then return { removed, kept, 0 } end
  local r = redis.call('HMGET', job_key(id), 'batch', 'request', 'create_ms')
  local open = r[1] and redis.call('HGET', batch_key(r[1]), 'open')
  if open and tonumber(open) > 0 then
    kept = kept + 1
  else
    redis.call('ZREM', key, id)
    if r[2] then remember(id, tonumber(r[3])) end
    redis.call('UNLINK', job_key(id), part_key(id, 'arguments'), part_key(id, 'result'), part_key(id, 'progress'),
      part_key(id, 'spec'), part_key(id, 'cancel'), part_key(id, 'attempts'), part_key(id, 'logs'))
    if r[1] then forget_batch(r[1]) end
    removed = removed + 1
  end
end
return { removed, kept, #oldest / 2 == limit and 1 or 0 }

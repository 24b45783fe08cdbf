--[[ purge: remove finished jobs that are no longer kept, oldest first.
KEYS 1 tag of the shard
ARGV 1 queue, 2 completed | failed | cancelled, 3 max_age_ms, 4 max_count (0 for no limit), 5 min_age_ms: younger ones
     always stay, 6 position to begin at, 7 most jobs looked at, 8 how long request ids are remembered (ms)
Returns {removed, left alone because their batch still runs, 1 when there may be more}
Errors none
Events none ]]
#flags allow-oom
#include keys clock core forget
local key, at, limit = queue_key(ARGV[1], ARGV[2]), tonumber(ARGV[6]), tonumber(ARGV[7])
local surplus = tonumber(ARGV[4]) > 0 and redis.call('ZCARD', key) - tonumber(ARGV[4]) or 0
local oldest = redis.call('ZRANGE', key, at, at + limit - 1, 'WITHSCORES')
local removed, kept = 0, 0

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
    forget_job(id, r[1], r[2], r[3], ARGV[8])
    removed = removed + 1
  end
end
return { removed, kept, #oldest / 2 == limit and 1 or 0 }

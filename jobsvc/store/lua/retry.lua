--[[ retry: queue failed jobs again.
KEYS 1 tag of the shard
ARGV 1 reset: '1' starts the count of attempts again, '' gives each job one more attempt, then ids
Returns per id: requeued | skipped (it has not failed) | missing
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core meter finish staged
local answer = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'version', 'queue', 'batch', 'attempt', 'lost', 'priority')
  if not r[1] or staged(r[4]) then
    answer[#answer + 1] = 'missing'
  elseif r[1] ~= 'failed' then
    answer[#answer + 1] = 'skipped'
  else
    local version, lost = r[2] + 1, tonumber(r[6] or 0)
    redis.call('ZREM', queue_key(r[3], 'failed'), id)
    redis.call('HDEL', key, 'end_ms', 'progress_ms', 'snoozed')
    redis.call('UNLINK', part_key(id, 'progress'))
    -- spared: failed attempts that do not count any more, -1 for one attempt whatever the limit
    if ARGV[1] == '1' then
      redis.call('HSET', key, 'spared', r[5] - lost, 'due_ms', now)
      if lost > 0 then redis.call('HSET', key, 'lost_spared', lost) end
    else
      redis.call('HSET', key, 'spared', -1, 'due_ms', now)
    end
    if r[4] then redis.call('LREM', batch_part(r[4], 'failures'), 0, id) end
    make_ready(id, r[3], version, now, r[7])
    moved(id, version, 'failed', 'queued', r[4])
    answer[#answer + 1] = 'requeued'
  end
end
return answer

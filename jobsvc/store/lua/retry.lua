--[[ retry: queue failed jobs again.
KEYS 1 tag of the shard
ARGV 1 reset: '1' starts the count of attempts again, '' gives each job one more attempt; 2 request: names the call, which
     queues no job twice, '' for none; 3 most jobs that the request may queue (0 for no limit); 4 how long requests are
     remembered (ms), then ids
Returns per id: requeued (now, or by this very request before) | skipped (it has not failed, or there were enough) | missing
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core meter finish staged
local answer, request, most = {}, ARGV[2], tonumber(ARGV[3])
local count_key = part_key(request, 'retrying')
local count = request ~= '' and tonumber(redis.call('GET', count_key) or 0) or 0
local before = count
for i = 5, #ARGV do
  local id = ARGV[i]
  local key = job_key(id)
  local r = redis.call('HMGET', key, 'state', 'version', 'queue', 'batch', 'attempt', 'lost', 'priority', 'retry_id')
  if not r[1] or staged(r[4]) then
    answer[#answer + 1] = 'missing'
  elseif request ~= '' and r[8] == request then
    answer[#answer + 1] = 'requeued' -- whatever became of it since
  elseif r[1] ~= 'failed' or (most > 0 and count >= most) then
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
    if request ~= '' then redis.call('HSET', key, 'retry_id', request) end
    if r[4] then redis.call('LREM', batch_part(r[4], 'failures'), 0, id) end
    make_ready(id, r[3], version, now, r[7])
    moved(id, version, 'failed', 'queued', r[4])
    answer[#answer + 1] = 'requeued'
    count = count + 1
  end
end
if request ~= '' and count > before then redis.call('SET', count_key, count, 'PX', ARGV[4]) end
return answer

--[[ progress: keep what running handlers last reported.
KEYS 1 tag of the shard
ARGV per job: id, token, progress (JSON)
Returns ok | cancel | lost per job; lost changes nothing
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core
local answer = {}
for i = 1, #ARGV, 3 do
  local id = ARGV[i]
  local r = redis.call('HMGET', job_key(id), 'token', 'state', 'version', 'batch', 'cancel_ms')
  if r[1] ~= ARGV[i + 1] or r[2] ~= 'processing' then
    answer[#answer + 1] = 'lost'
  else
    redis.call('SET', part_key(id, 'progress'), ARGV[i + 2])
    redis.call('HSET', job_key(id), 'version', r[3] + 1, 'progress_ms', now)
    announce(id, r[3] + 1, 'processing', r[4])
    answer[#answer + 1] = r[5] and 'cancel' or 'ok'
  end
end
return answer

--[[ renew: extend the leases of a worker's running jobs and say that the worker lives.
KEYS 1 tag of the shard
ARGV 1 worker id, 2 what the worker says of itself (JSON), 3 lease_ms, then per job: id, token
Returns drain when the worker is to end, else '', then ok | cancel | lost per job; cancel also extends the lease, the
     worker is to stop the job
Errors none
Events none ]]
#flags allow-oom
#include keys clock core
local worker, lease_ms = ARGV[1], tonumber(ARGV[3])
redis.call('ZADD', WORKERS, now, worker)
redis.call('SET', P .. ':worker:' .. worker, ARGV[2], 'EX', 120)
local answer = { redis.call('EXISTS', P .. ':drain:' .. worker) == 1 and 'drain' or '' }
for i = 4, #ARGV, 2 do
  local r = redis.call('HMGET', job_key(ARGV[i]), 'token', 'state', 'cancel_ms', 'queue')
  if r[1] ~= ARGV[i + 1] or r[2] ~= 'processing' then
    answer[#answer + 1] = 'lost'
  else
    redis.call('ZADD', queue_key(r[4], 'leases'), 'XX', now + lease_ms, ARGV[i])
    answer[#answer + 1] = r[3] and 'cancel' or 'ok'
  end
end
return answer

-- What happened in the last quarter of an hour, for rates and percentiles: per queue and ten seconds a hash that counts
-- waits (w) and ends (c completed, f failed, x cancelled) and retried attempts (r), by their length: the number behind the
-- letter is that of model/meter.py. An end without a number is that of a job that did not run.
local METER_MS, METER_KEPT_S = 10000, 960

local function meter(queue, what, length_ms)
  local key = queue_key(queue, 'meter-' .. math.floor(now / METER_MS))
  if length_ms then what = what .. math.floor(math.log(math.max(0, length_ms) + 1) * 16) end
  if redis.call('HINCRBY', key, what, 1) == 1 then redis.call('EXPIRE', key, METER_KEPT_S) end
end

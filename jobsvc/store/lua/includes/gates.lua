-- What holds the jobs of a queue back: a pause, limits of how many run at once, a limit of how many start per time.

-- The gate of a queue as it is now, before this script starts anything.
local function gate_of(queue)
  local s = redis.call('HMGET', queue_key(queue, 'settings'), 'paused', 'max_concurrency', 'max_concurrency_per_worker',
    'rate_units', 'rate_per_ms', 'rate_burst')
  return { queue = queue, paused = s[1], limit = tonumber(s[2]), per_worker = tonumber(s[3]),
    units = tonumber(s[4]), per_ms = tonumber(s[5]), burst = tonumber(s[6] or 1) }
end

-- Starts that the rate limit allows now, and the ms until it allows the next one. The generic cell rate algorithm: tat is
-- the instant at which all that has started would be used up, at an even pace.
local function rate_room(gate)
  if not gate.units then return math.huge, nil end
  local precise = time[1] * 1000 + time[2] / 1000
  gate.interval = gate.per_ms / gate.units
  gate.tat = math.max(precise, tonumber(redis.call('GET', queue_key(gate.queue, 'tat')) or 0))
  -- a hair is added, because the instants are fractions
  local room = math.max(0, math.floor((precise - gate.tat) / gate.interval + gate.burst + 1e-6))
  return room, math.max(1, math.ceil(gate.tat - precise - (gate.burst - 1) * gate.interval))
end

-- How many jobs of the queue may start on a worker now. Sets gate.full when only this worker's own limit holds jobs back,
-- and gate.opens_in_ms when the rate limit does.
local function room(gate, worker)
  gate.full, gate.opens_in_ms = false, nil
  if gate.paused then return 0 end
  local free = math.huge
  if gate.limit then free = math.max(0, gate.limit - redis.call('ZCARD', queue_key(gate.queue, 'leases'))) end
  if free == 0 then return 0 end
  local rated, opens_in_ms = rate_room(gate)
  if rated == 0 then gate.opens_in_ms = opens_in_ms; return 0 end
  free = math.min(free, rated)
  if gate.per_worker then
    local own = gate.per_worker - (redis.call('HGET', queue_key(gate.queue, 'held'), worker) or 0)
    gate.full = own <= 0
    free = math.max(0, math.min(free, own))
  end
  return free
end

-- Jobs of the queue have started: take their units from the rate limit.
local function use_rate(gate, started)
  if not gate.units or started == 0 then return end
  local tat = gate.tat + started * gate.interval
  local left_ms = math.ceil(tat - (time[1] * 1000 + time[2] / 1000)) + 1000
  redis.call('SET', queue_key(gate.queue, 'tat'), string.format('%.3f', tat), 'PX', left_ms)
end

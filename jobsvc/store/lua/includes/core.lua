-- What every change of state has in common: the wake-up, the counts of the batch, and telling the watchers.

local function wake(queue) redis.call('ZADD', queue_key(queue, 'wake'), 0, '1') end

-- Two jobs that become ready in one millisecond keep their order by a running number, as a fraction of the millisecond.
local function ready_score(ready_ms, head_start_ms)
  return ready_ms - head_start_ms + (redis.call('INCR', P .. ':sequence') % 4096) / 4096
end

-- The most jobs that may wait in a queue, if some more would be too many; nil if they would not.
local function queue_full(queue, more)
  local most = redis.call('HGET', queue_key(queue, 'settings'), 'max_waiting')
  if not most then return nil end
  local waiting = redis.call('ZCARD', queue_key(queue, 'ready')) + redis.call('ZCARD', queue_key(queue, 'scheduled'))
  return waiting + more > tonumber(most) and most or nil
end

local HEAD_START = { ['10'] = 0, ['20'] = 600000, ['30'] = 3600000, ['40'] = 21600000 }

local function count_move(batch, from, to)
  local key = batch_key(batch)
  if from then redis.call('HINCRBY', key, from, -1) end
  redis.call('HINCRBY', key, to, 1)
  redis.call('HINCRBY', key, 'version', 1)
  if to == 'processing' then redis.call('HSETNX', key, 'start_ms', now) end
  if from == 'failed' then -- queued again: a batch that had ended goes on
    redis.call('HINCRBY', key, 'open', 1)
    redis.call('HDEL', key, 'end_ms')
  end
  if to == 'completed' or to == 'failed' or to == 'cancelled' then
    if redis.call('HINCRBY', key, 'open', -1) == 0 then redis.call('HSET', key, 'end_ms', now) end
  end
end

-- Tells the watchers of a job, and of its batch, that there is something newer.
local function announce(id, version, state, batch)
  redis.call('PUBLISH', watch_channel(id), id .. ' ' .. version .. ' ' .. state)
  if batch and batch ~= '' then
    redis.call('PUBLISH', watch_channel(batch), id .. ' ' .. version .. ' ' .. state)
  end
end

local function moved(id, version, from, to, batch)
  if batch and batch ~= '' then count_move(batch, from, to) end
  announce(id, version, to, batch)
end

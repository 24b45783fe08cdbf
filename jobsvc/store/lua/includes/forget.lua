-- The end of a record: its parts, what its batch counts of it, and the memory of its request id.

local function remember(id, create_ms, memory_ms)
  local left = create_ms + memory_ms - now
  if left > 0 then redis.call('SET', part_key(id, 'remembered'), 1, 'PX', math.ceil(left)) end
end

local function forget_batch(batch, memory_ms)
  local bkey = batch_key(batch)
  if redis.call('HINCRBY', bkey, 'kept', -1) > 0 then return end
  local b = redis.call('HMGET', bkey, 'request', 'create_ms')
  if b[1] == '1' then remember(batch, tonumber(b[2]), memory_ms) end
  redis.call('UNLINK', bkey, batch_part(batch, 'named'), batch_part(batch, 'failures'))
end

-- request: whether the id came from a request id.
local function forget_job(id, batch, request, create_ms, memory_ms)
  if request then remember(id, tonumber(create_ms), memory_ms) end
  redis.call('UNLINK', job_key(id), part_key(id, 'arguments'), part_key(id, 'result'), part_key(id, 'progress'),
    part_key(id, 'spec'), part_key(id, 'cancel'), part_key(id, 'attempts'), part_key(id, 'logs'))
  if batch then forget_batch(batch, memory_ms) end
end

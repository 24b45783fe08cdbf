-- Moves jobs whose time has come to the ones that are ready. At most 200, so that the script stays short.
local function promote(queue)
  local scheduled = queue_key(queue, 'scheduled')
  local due = redis.call('ZRANGEBYSCORE', scheduled, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 200)
  for i = 1, #due, 2 do
    local id = due[i]
    redis.call('ZREM', scheduled, id)
    local r = redis.call('HMGET', job_key(id), 'state', 'version', 'priority', 'batch')
    if r[1] == 'scheduled' then
      local version = r[2] + 1
      make_ready(id, queue, version, tonumber(due[i + 1]), r[3])
      moved(id, version, 'scheduled', 'queued', r[4])
    end
  end
  return #due / 2
end

-- Milliseconds until the next scheduled job of the queue is due; nil when there is none.
local function next_due(queue)
  local first = redis.call('ZRANGE', queue_key(queue, 'scheduled'), 0, 0, 'WITHSCORES')
  if first[2] then return math.max(0, tonumber(first[2]) - now) end
  return nil
end

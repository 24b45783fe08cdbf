--[[ meters: what happened in queues lately, summed up.
KEYS 1 tag of the shard
ARGV 1 window_ms, then queues
Returns {span_ms that was looked at (the window, and up to ten seconds more), per queue: {name, letter and number of a length, count, ...}}
Errors none
Events none ]]
#flags no-writes
#include keys clock meter
local first = math.floor((now - ARGV[1]) / METER_MS)
local answer = { now - first * METER_MS }
for i = 2, #ARGV do
  local sums = {}
  for number = first, math.floor(now / METER_MS) do
    local found = redis.call('HGETALL', queue_key(ARGV[i], 'meter-' .. number))
    for at = 1, #found, 2 do sums[found[at]] = (sums[found[at]] or 0) + found[at + 1] end
  end
  local row = { ARGV[i] }
  for what, count in pairs(sums) do row[#row + 1] = what; row[#row + 1] = count end
  answer[#answer + 1] = row
end
return answer

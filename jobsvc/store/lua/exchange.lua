--[[ exchange: report attempts that ended and take new jobs, in one round trip.
KEYS 1 tag of the shard
ARGV 1 worker id, 2 request (a repeat of the same request gets the same jobs), 3 lane of the request, 4 lease_ms, 5 jobs
     wanted, 6 number of queues, 7 number of reports, then the queues, then per report: id, token, outcome, delay_ms,
     body (JSON or '')
Returns {{ok | already | lost per report}, {per job: id, token, type, queue, attempt, lost_attempts, batch, max_attempts,
     timeout_ms, spared, arguments, spec}, ms until there may be more to start without anybody being woken or -1, queues that are
     shut for this worker alone}
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core meter finish promote gates claim
local worker, request, lane, lease_ms, want = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local queues, at = {}, 8
for i = 1, tonumber(ARGV[6]) do queues[i] = ARGV[at]; at = at + 1 end
local replies, ended = {}, {}
for i = 1, tonumber(ARGV[7]) do
  local reply, queue = finish(ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4])
  replies[i] = reply
  if queue then ended[queue] = true end
  at = at + 5
end
local due_in = -1
for _, queue in ipairs(queues) do
  local first = next_due(queue)
  if first == 0 then
    promote(queue)
    first = next_due(queue)
  end
  if first and (due_in < 0 or first < due_in) then due_in = first end
end
local jobs, gates = claim(worker, request, lane, lease_ms, want, queues)
local full = {}
for queue, gate in pairs(gates) do
  if gate.full then full[#full + 1] = queue end
  if gate.opens_in_ms and (due_in < 0 or gate.opens_in_ms < due_in) then due_in = gate.opens_in_ms end
end
-- what has ended made room, and nobody has looked whether that lets another job of its queue start
for queue in pairs(ended) do
  if not gates[queue] and gate_of(queue).limit and redis.call('ZCARD', queue_key(queue, 'ready')) > 0 then wake(queue) end
end
return { replies, jobs, due_in, full }

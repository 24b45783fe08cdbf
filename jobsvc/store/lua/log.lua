--[[ log: append lines that a running handler wrote.
KEYS 1 tag of the shard
ARGV 1 id, 2 token, 3 most lines kept, 4 how many lines this attempt wrote before these, then lines (a JSON object each,
     which gets the field line: its number in the job, from 1)
Returns number of lines ever written, or -1 when the lease is lost and nothing was written; lines that were written
     before are not written again
Errors none
Events watch:<id>, watch:<batch> ]]
#flags allow-oom
#include keys clock core
local id, token = ARGV[1], ARGV[2]
local r = redis.call('HMGET', job_key(id), 'token', 'state', 'version', 'batch', 'log_lines', 'logged')
if r[1] ~= token or r[2] ~= 'processing' then return -1 end
-- logged: the token of the attempt that wrote last, and how many lines it has written
local writer, count = string.match(r[6] or '', '^(%d+):(%d+)$')
local written, first = writer == token and tonumber(count) or 0, tonumber(ARGV[4])
local all = first + #ARGV - 4
if all <= written then return tonumber(r[5] or 0) end
local total = tonumber(r[5] or 0) + all - written
for i = 5 + math.max(0, written - first), #ARGV do
  redis.call('RPUSH', part_key(id, 'logs'), '{"line":' .. total - (#ARGV - i) .. ',' .. string.sub(ARGV[i], 2))
end
redis.call('LTRIM', part_key(id, 'logs'), -ARGV[3], -1)
local lines = redis.call('HINCRBY', job_key(id), 'log_lines', all - written)
redis.call('HSET', job_key(id), 'version', r[3] + 1, 'logged', token .. ':' .. all)
announce(id, r[3] + 1, 'processing', r[4])
return lines

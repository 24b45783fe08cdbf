-- Names of keys, the same as in keys.py; a test compares them.
local P = KEYS[1]
local function job_key(id) return P .. ':job:' .. id end
local function part_key(id, part) return P .. ':' .. part .. ':' .. id end
local function queue_key(queue, part) return P .. ':queue:' .. queue .. ':' .. part end
local function batch_key(id) return P .. ':batch:' .. id end
local function batch_part(id, part) return P .. ':batch-' .. part .. ':' .. id end
local function claim_key(worker, lane) return P .. ':claim:' .. worker .. ':' .. lane end
local function watch_channel(id) return P .. ':watch:' .. id end
local QUEUES, TYPES, WORKERS = P .. ':queues', P .. ':types', P .. ':workers'
local CONTROL, CATALOG = P .. ':control', P .. ':catalog'

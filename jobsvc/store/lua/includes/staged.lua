-- Whether a batch is staged and not committed: until then its jobs do not exist, but for those who stage it.
local function staged(batch)
  return batch and redis.call('HEXISTS', batch_key(batch), 'staged') == 1
end

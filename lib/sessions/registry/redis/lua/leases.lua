-- Whose word counts; stands before the scripts that have
--
-- KEYS[3] sorted set: node -> end of its lease, ms of the clock of the leases
-- KEYS[4] hash: what is known of each node, see renew.lua; for `current` only

local function alive(node)
  return tonumber(redis.call("ZSCORE", KEYS[3], node) or 0) > now
end

-- Whether a node has a lease and has last renewed it by this connection in this generation. Who asks by an old connection, or
-- before it has heard of a loss of the data, would be told of a Redis that knows less.
local function current(node, connection, generation_id)
  local renewed_by = string.match(redis.call("HGET", KEYS[4], node) or "", "^%d+")
  return renewed_by == connection and generation.id == generation_id and alive(node)
end


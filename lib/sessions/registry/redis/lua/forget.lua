-- Forgets nodes: those of the dead that no entry names any more, and one that leaves in order.
--
-- KEYS[1] hash: the generation, see generation.lua
-- KEYS[2] sorted set: node -> end of its lease, ms of the clock of the leases
-- KEYS[3] hash: what is known of each node, see renew.lua
-- ARGV[1] the node that leaves, or ""     ARGV[2] … nodes that are dead, and stay where they are not

for i, node in ipairs(ARGV) do
  local lease_end = redis.call("ZSCORE", KEYS[2], node)
  if i == 1 or not lease_end or tonumber(lease_end) <= now then
    redis.call("ZREM", KEYS[2], node)
    redis.call("HDEL", KEYS[3], node)
  end
end

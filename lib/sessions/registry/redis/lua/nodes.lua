-- Tells which nodes hold a lease now.
--
-- KEYS[1] hash: the generation, see generation.lua
-- KEYS[2] sorted set: node -> end of its lease, ms of the clock of the leases
--
-- Returns their names.

return redis.call("ZRANGEBYSCORE", KEYS[2], "(" .. text(now), "+inf")

-- Tells which clients are blocked, and blocks again those that were before the data was lost.
--
-- KEYS[1] hash: the generation, see generation.lua
-- KEYS[2] sorted set: client_id -> end of its block, ms of the clock of the leases
-- ARGV[1] client_id, ARGV[2] how long it should be blocked yet, ms; and so on: only those that are not there count
--
-- Returns { client_id, how long it is blocked yet, ms, … }

for i = 1, #ARGV, 2 do
  if not redis.call("ZSCORE", KEYS[2], ARGV[i]) then
    redis.call("ZADD", KEYS[2], text(now + tonumber(ARGV[i + 1])), ARGV[i])
  end
end
local blocked = {}
for _, client_id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[2], "(" .. text(now), "+inf")) do
  blocked[#blocked + 1] = client_id
  blocked[#blocked + 1] = text(tonumber(redis.call("ZSCORE", KEYS[2], client_id)) - now)
end
return blocked

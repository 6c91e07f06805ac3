-- Takes a session out of the line of its client; when a single one is left, tells it that it is its turn.
--
-- KEYS[1] hash: client_id -> "session node|…", the oldest first
-- ARGV[1] client_id   ARGV[2] session_id   ARGV[3] prefix of the nodes' channels

local holders = {}
for holder in string.gmatch(redis.call("HGET", KEYS[1], ARGV[1]) or "", "[^|]+") do
  if string.sub(holder, 1, #ARGV[2]) ~= ARGV[2] then holders[#holders + 1] = holder end
end
if #holders == 0 then return redis.call("HDEL", KEYS[1], ARGV[1]) end
redis.call("HSET", KEYS[1], ARGV[1], table.concat(holders, "|"))
if #holders == 1 then
  local session, node = string.match(holders[1], "(%S+) (%S+)")
  redis.call("PUBLISH", ARGV[3] .. node, "turn " .. session)
end

-- Takes a place at the end of the line of a client, or asks again about it, and tells the one before to go.
--
-- KEYS[1] hash: client_id -> "session node|…", the oldest first
-- ARGV[1] client_id   ARGV[2] session_id   ARGV[3] node   ARGV[4] prefix of the nodes' channels
--
-- Returns "established", "wait" or "replaced".

local line = redis.call("HGET", KEYS[1], ARGV[1]) or ""
local mine = ARGV[2] .. " " .. ARGV[3]
local holders = {}
for holder in string.gmatch(line, "[^|]+") do holders[#holders + 1] = holder end
local found = 0
for i, holder in ipairs(holders) do if holder == mine then found = i end end
if found == 0 then
  holders[#holders + 1] = mine
  found = #holders
  redis.call("HSET", KEYS[1], ARGV[1], table.concat(holders, "|"))
end
if found < #holders then return "replaced" end
if #holders == 1 then return "established" end
local session, node = string.match(holders[found - 1], "(%S+) (%S+)")
redis.call("PUBLISH", ARGV[4] .. node, "evict " .. session)
return "wait"

-- Renews the lease of a node.
--
-- KEYS[1] hash: the generation, see generation.lua
-- KEYS[2] sorted set: node -> end of its lease, ms of the clock of the leases
-- KEYS[3] hash: node -> "connection joined seen": the number of the connection by which it last renewed; how many nodes
--         had joined in this generation when it had; how many joins it has been told of
-- KEYS[4] stream: the events, see shared.lua
-- ARGV[1] node                             ARGV[2] lease, ms
-- ARGV[3] number of the connection, grows with each that the process makes
-- ARGV[4] "join" for a node's first lease, "joining" until it was answered "ready" once, then "renew"
-- ARGV[5] generation in which the process has announced its sessions, "" when it has just started or lost its lease
-- ARGV[6] how many joins it has been told of in that generation
-- ARGV[7] the clock of the epochs as the process reckons it, microseconds
-- ARGV[8] a node that this process was, and whose sessions have all ended, or ""
-- ARGV[9] sorted set: as KEYS[2], where versions before the hash tag have it; no key of this script, since in a cluster, where
--         those versions never ran, it may be in another slot
-- ARGV[10] … the nodes that may have sessions, as the last renewal in the generation ARGV[5] has said
--
-- Returns { "late" } when the process has made a newer connection, { "lapsed" } when the others may treat the node as
-- gone, { "lease", ms } when the lease of the other nodes is another one, else
--   { "held", generation, ms of Redis's own clock, microseconds of the clock of the epochs, "settled" or "settling",
--     "ready" or "joining", joins, { nodes that may have sessions }, { nodes whose lease is over },
--     { node, end of its lease … of the versions before, to who is not ready yet } }
-- A node may have sessions when it is ready: the data is complete, and every other that may be a witness of it one day
-- has been told of it. The nodes that may have sessions are not told while nobody here can know them.

local member = redis.call("HGET", KEYS[3], node)
local connection, joined = string.match(member or "", "^(%d+) (%d+)")
if connection and tonumber(connection) > tonumber(ARGV[3]) then return { "late" } end

if not generation.id or string.sub(generation.id, 1, #source) ~= source then
  begin()
  joined = nil
end
if known ~= generation.id then remember() end
-- The clock of the epochs lags behind what the nodes reckon after a loss of the data, when it must not give an epoch that was
-- given before, though their own clocks may be slow; and a little when nobody has renewed for a while.
local reckoned = tonumber(ARGV[7])
if not joined and reckoned > 0 then epoch_now = math.max(epoch_now, reckoned + lease / 50 * 1000) end
if reckoned > epoch_now + lease / 20 * 1000 then epoch_now = reckoned end
local alive = "(" .. text(now)
if ARGV[4] == "join" and tonumber(generation.lease) ~= lease then
  local others = redis.call("ZCOUNT", KEYS[2], alive, "+inf") > 0 or now < tonumber(generation.settles_at)
  if others then return { "lease", generation.lease } end
  set("lease", text(lease))
end
if ARGV[4] ~= "join" and known == generation.id then
  local lease_end = redis.call("ZSCORE", KEYS[2], node)
  if not lease_end or tonumber(lease_end) <= now then return { "lapsed" } end
end

local awaited = settle()
set("now", text(now))
set("time", text(time))
set("epochs", text(epoch_now - now * 1000))
redis.call("ZADD", KEYS[2], text(now + lease), node)
-- A renewal that was late may have given it a lease that no one needs: its clients should not have to wait for the end.
if former ~= "" then redis.call("ZADD", KEYS[2], "XX", text(now), former) end

joined = joined or redis.call("HINCRBY", KEYS[1], "joins", 1)
local seen = known == generation.id and ARGV[6] or 0
redis.call("HSET", KEYS[3], node, ARGV[3] .. " " .. joined .. " " .. seen)

local settled = now >= tonumber(generation.settles_at)
local nodes = redis.call("ZRANGEBYSCORE", KEYS[2], alive, "+inf")
local ready = settled
local predecessors = {}
if ARGV[4] ~= "renew" then
  -- Together with all the rest, so that what is missing here has not just been lost. Where it may not be read there are none.
  predecessors = redis.pcall("ZRANGEBYSCORE", ARGV[9], "-inf", "+inf", "WITHSCORES")
  if predecessors.err then predecessors = {} end
  for _, other in ipairs(redis.call("HMGET", KEYS[3], unpack(nodes))) do
    local told = tonumber(string.match(other or "", "(%d+)$") or 0)
    ready = ready and told >= tonumber(joined)
  end
end
if not settled and not generation.witnessed then nodes = {} end
for _, name in ipairs(awaited) do nodes[#nodes + 1] = name end
return {
  "held", generation.id, text(time), text(epoch_now), settled and "settled" or "settling",
  ready and "ready" or "joining", redis.call("HGET", KEYS[1], "joins"), nodes,
  redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", text(now)), predecessors,
}

-- Renews the lease of a node, and notices when Redis may have lost data.
--
-- A generation is the time in which nothing was lost: it ends when Redis restarts, fails over or is flushed. At its
-- start some sessions may be unknown here: their nodes announce them as soon as they reach Redis, and one that cannot
-- reach it has ended them a lease later at the latest. Until `settles_at` a client_id without a line is therefore not
-- known to be free. That moment comes early when every node that anyone remembers has announced its sessions.
--
-- KEYS[1] sorted set: node -> end of its lease, ms of Redis's clock
-- KEYS[2] hash: id, began_at and settles_at (ms of Redis's clock) of the generation, and for each node that is
--         remembered from the one before "node:<node>" -> "awaited" or "announced"
-- KEYS[3] stream: the events, see line.lua
-- ARGV[1] node                               ARGV[2] lease, ms
-- ARGV[3] generation in which the process has announced its sessions, "" when it has just started
-- ARGV[4] "join" for a node's first lease, else "renew"
-- ARGV[5] grace, ms: how long nodes of an earlier generation have to speak up when only new ones are seen
-- ARGV[6] a node that this process was, and whose sessions have all ended, or ""
-- ARGV[7] … the nodes that may have sessions, as the last renewal in the generation ARGV[3] has said
--
-- Returns { "lapsed" } when the others may treat the node as gone, else
--   { "held", generation, now ms, "settled" or "settling", { nodes that may have sessions }, { nodes whose lease is over } }
-- A node may have sessions while it has a lease, or is still awaited: whoever remembers it passes it on when the data is
-- lost once more before it was heard of.

local function text(number) return string.format("%.0f", number) end

local node, lease, known = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local run_id = string.match(redis.call("INFO", "server"), "run_id:(%x+)")
local generation = redis.call("HMGET", KEYS[2], "id", "began_at", "settles_at")
local id, began_at, settles_at = generation[1], tonumber(generation[2] or 0), tonumber(generation[3] or 0)

local function settle_at(moment)
  settles_at = moment
  redis.call("HSET", KEYS[2], "settles_at", text(moment))
end

if not id or string.match(id, "^%x+") ~= run_id then
  -- Data from before a restart stands for sessions that may live; on a first start there is nothing to wait for.
  local restored = id
  id, began_at = run_id .. "-" .. text(now), now
  redis.call("DEL", KEYS[2])
  note(KEYS[3], "reset")
  redis.call("HSET", KEYS[2], "id", id, "began_at", text(now))
  settle_at(now + (restored and lease or tonumber(ARGV[5])))
end

if known ~= "" and known ~= id then
  if settles_at < began_at + lease then settle_at(began_at + lease) end
  for i = 7, #ARGV do redis.call("HSETNX", KEYS[2], "node:" .. ARGV[i], "awaited") end
end

local awaited = {}
if now < settles_at then
  local progress = false
  local function announced(name)
    local field = "node:" .. name
    progress = progress or redis.call("HGET", KEYS[2], field) == "awaited"
    redis.call("HSET", KEYS[2], field, "announced")
  end
  if known == id then announced(node) end
  if ARGV[6] ~= "" then announced(ARGV[6]) end
  local fields = redis.call("HGETALL", KEYS[2])
  for i = 1, #fields, 2 do
    if fields[i + 1] == "awaited" then awaited[#awaited + 1] = string.sub(fields[i], 6) end
  end
  if progress and #awaited == 0 then settle_at(now) end
end

if ARGV[4] == "renew" and known == id then
  local lease_end = redis.call("ZSCORE", KEYS[1], node)
  if not lease_end or tonumber(lease_end) <= now then return { "lapsed" } end
end
redis.call("ZADD", KEYS[1], text(now + lease), node)
-- A renewal that was late may have given it a lease that no one needs: its clients should not have to wait for the end.
if ARGV[6] ~= "" then redis.call("ZADD", KEYS[1], "XX", text(now), ARGV[6]) end
local nodes = redis.call("ZRANGEBYSCORE", KEYS[1], "(" .. text(now), "+inf")
for _, name in ipairs(awaited) do nodes[#nodes + 1] = name end
return {
  "held",
  id,
  text(now),
  now >= settles_at and "settled" or "settling",
  nodes,
  redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", text(now)),
}

-- Renews the lease of a node, and notices when Redis may have lost data.
--
-- A generation is the time in which nothing was lost: it ends when Redis restarts, fails over or is flushed. At its
-- start some sessions may be unknown here: their processes announce them as soon as they reach Redis, and one that
-- cannot reach it has ended them a lease later at the latest. Until `settles_at` a client_id without a line is
-- therefore not known to be free.
--
-- KEYS[1] sorted set: node -> end of its lease, ms of Redis's clock
-- KEYS[2] hash: id, began_at and settles_at (ms of Redis's clock) of the generation
-- ARGV[1] node                               ARGV[2] lease, ms
-- ARGV[3] generation that the process knows, "" when it has just started
-- ARGV[4] "join" for a node's first lease, else "renew"
-- ARGV[5] grace, ms: how long processes of an earlier generation have to speak up when only new ones are seen
--
-- Returns { "lapsed" } when the others may treat the node as gone, else
--   { "held", generation, now ms, "settled" or "settling", { nodes whose lease is over } }

local function number(text) return string.format("%.0f", text) end

local run_id = string.match(redis.call("INFO", "server"), "run_id:(%x+)")
local generation = redis.call("HMGET", KEYS[2], "id", "began_at", "settles_at")
local id, began_at, settles_at = generation[1], tonumber(generation[2] or 0), tonumber(generation[3] or 0)
local lease = tonumber(ARGV[2])

if not id or string.match(id, "^%x+") ~= run_id then
  -- Where either side remembers an earlier generation, sessions of it may live; a first start has none to wait for.
  local remembered = id or ARGV[3] ~= ""
  id, began_at, settles_at = run_id .. "-" .. number(now), now, now + (remembered and lease or tonumber(ARGV[5]))
  redis.call("HSET", KEYS[2], "id", id, "began_at", number(began_at), "settles_at", number(settles_at))
elseif ARGV[3] ~= "" and ARGV[3] ~= id and settles_at < began_at + lease then
  settles_at = began_at + lease
  redis.call("HSET", KEYS[2], "settles_at", number(settles_at))
end

if ARGV[4] == "renew" and ARGV[3] == id then
  local lease_end = redis.call("ZSCORE", KEYS[1], ARGV[1])
  if not lease_end or tonumber(lease_end) <= now then return { "lapsed" } end
end
redis.call("ZADD", KEYS[1], number(now + lease), ARGV[1])
return {
  "held",
  id,
  number(now),
  now >= settles_at and "settled" or "settling",
  redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", number(now)),
}

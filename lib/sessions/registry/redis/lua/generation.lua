-- Notices when Redis may have lost data, and knows until when sessions may be unknown here; stands before renew.lua.
--
-- A generation is the time in which nothing was lost: it ends when Redis restarts, fails over or is flushed. At its
-- start some sessions may be unknown: their nodes announce them as soon as they reach Redis, and one that cannot reach
-- it has ended them a lease later at the latest (see `overlap` below). Until `settles_at` a client_id without a line is therefore not known
-- to be free. That moment comes early when every node that a witness remembers has announced its sessions. A witness
-- has held its lease since the generation before: it knows every node that took sessions there, see renew.lua.
--
-- KEYS[1] hash of the generation:
--   id               of whom the data is: run id and replication id, both of which change at a failover; and since when
--   began_at settles_at now   by the clock of the leases, ms      time     Redis's own clock when that was `now`
--   overlap          how much longer than a lease it takes to settle at most, ms
--   lease            of every node, ms                           joins    how many nodes have joined
--   epochs           how far the clock of the epochs is ahead of that of the leases, microseconds
--   witnessed        "1" when a witness has spoken
--   node:<node>      "awaited" or "announced", for each that was remembered from the generation before
-- KEYS and ARGV as in renew.lua.

local fields = redis.call("HMGET", KEYS[1], "began_at", "witnessed", "overlap")
generation.began_at, generation.witnessed, generation.overlap = fields[1], fields[2], fields[3]

local node, lease, known, former = ARGV[1], tonumber(ARGV[2]), ARGV[5], ARGV[8]

local function set(field, value)
  generation[field] = value
  redis.call("HSET", KEYS[1], field, value)
end

local info = redis.call("INFO", "server") .. redis.call("INFO", "replication")
local source = string.sub(string.match(info, "run_id:(%x+)"), 1, 16)
  .. string.sub(string.match(info, "master_replid:(%x+)"), 1, 16)

-- Where there is data, of another source, there was a failover perhaps, and the one before may take writes for a while yet from
-- nodes that have not heard of it: so much later than a lease from now the last of them may have ended its sessions.
local function begin()
  local overlap = generation.id and lease / 2 or 0
  redis.call("DEL", KEYS[1], KEYS[3])
  note(KEYS[4], "reset")
  generation = {}
  set("overlap", text(overlap))
  set("id", source .. "-" .. node .. "-" .. ARGV[3] .. "-" .. text(time))
  set("began_at", text(now))
  set("settles_at", text(now + lease + overlap))
  set("lease", text(lease))
end

-- What this node remembers from the generation before.
local function remember()
  if known == "" or now >= tonumber(generation.settles_at) then return end
  if lease > tonumber(generation.lease) then
    set("lease", text(lease))
    set("settles_at", text(generation.began_at + lease + (generation.overlap or 0)))
  end
  if #ARGV > 9 then set("witnessed", "1") end
  for i = 10, #ARGV do redis.call("HSETNX", KEYS[1], "node:" .. ARGV[i], "awaited") end
end

-- The nodes that have yet to announce their sessions.
local function settle()
  local awaited = {}
  if now >= tonumber(generation.settles_at) then return awaited end
  if known == generation.id then set("node:" .. node, "announced") end
  if former ~= "" then set("node:" .. former, "announced") end
  local all = redis.call("HGETALL", KEYS[1])
  for i = 1, #all, 2 do
    if all[i + 1] == "awaited" then awaited[#awaited + 1] = string.sub(all[i], 6) end
  end
  if generation.witnessed and #awaited == 0 then set("settles_at", text(now)) end
  return awaited
end

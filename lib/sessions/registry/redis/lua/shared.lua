-- What the scripts share; it stands before each of them.
--
-- KEYS[1] is for all of them the hash of the generation, see generation.lua.

local function text(number) return string.format("%.0f", number) end

-- What each claim needs, and so no more: generation.lua reads the rest.
local fields = redis.call("HMGET", KEYS[1], "id", "settles_at", "now", "time", "lease", "epochs")
local generation = {
  id = fields[1], settles_at = fields[2], now = fields[3], time = fields[4], lease = fields[5], epochs = fields[6],
}

-- Redis's own clock, ms: it may be set.
local time = redis.call("TIME")
time = time[1] * 1000 + math.floor(time[2] / 1000)

-- The clock of the leases, ms. It goes as Redis's own, from what both were at the last renewal, but never back, and
-- between two renewals by no more than a twentieth of a lease: a clock that is set ends no lease early and prolongs none.
local now = time
if generation.now then
  local passed = math.max(0, time - tonumber(generation.time))
  now = tonumber(generation.now) + math.floor(math.min(passed, tonumber(generation.lease) / 20))
end

-- The clock of the epochs, microseconds: as that of the leases, and never back over a loss of the data, see renew.lua.
local epoch_now = now * 1000 + tonumber(generation.epochs or 0)

-- The line of a client_id is one text: its holders from the oldest to the newest, joined by "|", each of five words:
--   session_id node epoch connected_at state
-- epoch says when the session came, by a clock in microseconds that grows over data loss; connected_at is Unix time in
-- ms; state is one of
--   e  established: it may be talking to its client
--   w  waits until it is alone in the line
--   v  waits, and the session that was established has just left the line, so no unknown one can be hiding

local function parse(line)
  local holders = {}
  if not line then return holders end
  for session, node, epoch, at, state in string.gmatch(line, "([^%s|]+) (%S+) (%S+) (%S+) (%a)") do
    holders[#holders + 1] = { session = session, node = node, epoch = epoch, at = at, state = state }
  end
  return holders
end

local function format(holders)
  if #holders == 1 then
    local h = holders[1]
    return h.session .. " " .. h.node .. " " .. h.epoch .. " " .. h.at .. " " .. h.state
  end
  local words = {}
  for i, h in ipairs(holders) do
    words[i] = h.session .. " " .. h.node .. " " .. h.epoch .. " " .. h.at .. " " .. h.state
  end
  return table.concat(words, "|")
end

-- Redis 7 and later has channels that belong to slots, as keys do: in a cluster such a message stays where it is sent. Whoever
-- listens goes by the version of the same Redis, see redis_connection.ts.
local function publish(channel, message)
  redis.call(redis.REDIS_VERSION_NUM and "SPUBLISH" or "PUBLISH", channel, message)
end

-- The last 20,000 or so of what has become of established sessions, in the order in which it did, for whoever follows;
-- written together with the line, so that both tell the same story. An entry's one field holds the words
--   opened|replaced|closed session_id node epoch connected_at client_id
-- or "reset": data may have been lost, what follows does not continue what stood before (see generation.lua).
local function note(stream, words)
  redis.call("XADD", stream, "MAXLEN", "~", "20000", "*", "e", words)
end

local function note_session(stream, what, h, client_id)
  note(stream, what .. " " .. h.session .. " " .. h.node .. " " .. h.epoch .. " " .. h.at .. " " .. client_id)
end

-- What the scripts share; it stands before each of them.
--
-- The line of a client_id is one text: its holders from the oldest to the newest, joined by "|", each of five words:
--   session_id node epoch connected_at state
-- epoch counts claims and grows over data loss; connected_at is Unix time in ms; state is one of
--   e  established: it may be talking to its client
--   w  waits until it is alone in the line
--   v  waits, and the session that was established has just left the line, so no unknown one can be hiding

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function parse(line)
  local holders = {}
  for session, node, epoch, at, state in string.gmatch(line or "", "([^%s|]+) (%S+) (%S+) (%S+) (%a)") do
    holders[#holders + 1] = { session = session, node = node, epoch = epoch, at = at, state = state }
  end
  return holders
end

local function format(holders)
  local words = {}
  for i, h in ipairs(holders) do
    words[i] = h.session .. " " .. h.node .. " " .. h.epoch .. " " .. h.at .. " " .. h.state
  end
  return table.concat(words, "|")
end

-- The last 20,000 or so of what has become of established sessions, in the order in which it did, for whoever follows;
-- written together with the line, so that both tell the same story. An entry's one field holds the words
--   opened|replaced|closed session_id node epoch connected_at client_id
-- or "reset": data may have been lost, what follows does not continue what stood before (see renew.lua).
local function note(stream, text)
  redis.call("XADD", stream, "MAXLEN", "~", "20000", "*", "e", text)
end

local function note_session(stream, what, h, client_id)
  note(stream, what .. " " .. h.session .. " " .. h.node .. " " .. h.epoch .. " " .. h.at .. " " .. client_id)
end

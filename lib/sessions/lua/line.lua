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

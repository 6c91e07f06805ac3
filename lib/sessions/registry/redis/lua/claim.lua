-- Takes a place in the line of a client_id, or asks again about the place it has, and tells the older ones to go.
--
-- KEYS[1] hash: client_id -> line              KEYS[2] sorted set: node -> end of its lease, ms of Redis's clock
-- KEYS[3] string: the last epoch               KEYS[4] hash: the generation of the data, see renew.lua
-- KEYS[5] stream: the events, see line.lua
-- ARGV[1] client_id                            ARGV[2] session_id
-- ARGV[3] node                                 ARGV[4] connected_at, Unix ms
-- ARGV[5] epoch of the place, "" for a new one ARGV[6] state it has: "e" or "w"
-- ARGV[7] latest ms of Redis's clock at which this call may take effect
-- ARGV[8] prefix of the nodes' channels
--
-- Returns { answer, epoch, newest session_id, its node }; answer is
--   e  established: it is alone              w  wait and ask again
--   r  replaced: a newer one is in the line  l  the node must renew its lease first
--   t  too late: nothing was done

if now > tonumber(ARGV[7]) then return { "t", "" } end

local leases = {}
local function alive(node)
  if leases[node] == nil then
    local lease_end = redis.call("ZSCORE", KEYS[2], node)
    leases[node] = lease_end ~= false and tonumber(lease_end) > now
  end
  return leases[node]
end

-- Until then a line may lack a session that its process has yet to announce.
local settles_at = redis.call("HGET", KEYS[4], "settles_at")
if not settles_at or not alive(ARGV[3]) then return { "l", "" } end

local holders, mine, was_established = {}, nil, false
for _, h in ipairs(parse(redis.call("HGET", KEYS[1], ARGV[1]))) do
  if h.session == ARGV[2] then
    mine = h
    was_established = h.state == "e"
    if ARGV[6] == "e" then mine.state = "e" end -- it knows better than data restored from an old snapshot
    holders[#holders + 1] = h
  elseif alive(h.node) then
    holders[#holders + 1] = h
  elseif h.state == "e" then
    note_session(KEYS[5], "replaced", h, ARGV[1])
  end
end

local first_time = mine == nil
if first_time then
  local epoch = ARGV[5]
  if epoch == "" then
    -- microseconds of the clock: larger than every epoch before a loss of the data
    local last = tonumber(redis.call("GET", KEYS[3]) or 0)
    epoch = string.format("%.0f", math.max(last + 1, time[1] * 1000000 + time[2]))
    redis.call("SET", KEYS[3], epoch)
  end
  mine = { session = ARGV[2], node = ARGV[3], epoch = epoch, at = ARGV[4], state = ARGV[6] }
  -- one that comes back after a loss of the data takes its old place, before those that are newer
  local place = #holders + 1
  while place > 1 and tonumber(holders[place - 1].epoch) > tonumber(epoch) do place = place - 1 end
  table.insert(holders, place, mine)
end

local newest = holders[#holders]
local answer = "w"
if newest ~= mine then
  answer = "r"
elseif #holders == 1 then
  if mine.state ~= "w" or now >= tonumber(settles_at) then
    mine.state = "e"
    answer = "e"
  end
else
  -- the second newest hears it now, the older ones have heard it from their successors; a repetition tells them all
  for i = first_time and #holders - 1 or 1, #holders - 1 do
    local h = holders[i]
    redis.call("PUBLISH", ARGV[8] .. h.node, "evict " .. h.session .. " " .. ARGV[2] .. " " .. ARGV[3] .. " " .. ARGV[1])
  end
end

if mine.state == "e" and not was_established then note_session(KEYS[5], "opened", mine, ARGV[1]) end
redis.call("HSET", KEYS[1], ARGV[1], format(holders))
return { answer, mine.epoch, newest.session, newest.node }

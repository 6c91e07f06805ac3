-- Takes a place in the line of a client_id, or asks again about the place it has, and tells the older ones to go.
--
-- KEYS[1] hash: the generation, see generation.lua    KEYS[2] hash: client_id -> line, see shared.lua
-- KEYS[3] sorted set: node -> end of its lease        KEYS[4] hash: what is known of each node, see renew.lua
-- KEYS[5] string: the last epoch                      KEYS[6] stream: the events, see shared.lua
-- KEYS[7] sorted set: client_id -> end of its block, see operation.lua
-- KEYS[8] string: the takeovers of the client_id, see takeovers.lua
-- ARGV[1] client_id                                   ARGV[2] session_id
-- ARGV[3] node                                        ARGV[4] connected_at, Unix ms
-- ARGV[5] epoch of the place, "" for a new one        ARGV[6] state it has: "e" or "w"
-- ARGV[7] number of the connection, and ARGV[8] generation, both as the node's last renewal has had them
-- ARGV[9] when the process gives this connection up, ms of Redis's own clock
-- ARGV[10] "" where it is asked as soon as the connection came, else how long ago that was, ms
-- ARGV[11] prefix of the nodes' channels
-- ARGV[12] "yes", or "no" for one that takes over from nobody
-- ARGV[13] how many takeovers a minute has room for, 0 for any number
--
-- Returns { answer, epoch, newest session_id, its node }; answer is
--   e  established: it is alone              w  wait and ask again
--   r  replaced: a newer one is in the line  l  the node must renew its lease first
--   t  too late: the connection was given up
--   b  the client is blocked; newest session_id is for how long yet, ms
-- and for a newcomer that gets no place, and is to be asked for no more
--   o  occupied: somebody is in the line, and it takes over from nobody
--   c  too many takeovers within a minute    f  likewise, and nobody was told so before

if time > tonumber(ARGV[9]) then return { "t", "" } end

if not current(ARGV[3], ARGV[7], ARGV[8]) then return { "l", "" } end

local holders, dead, mine, was_established = {}, {}, nil, false
for _, h in ipairs(parse(redis.call("HGET", KEYS[2], ARGV[1]))) do
  if h.session == ARGV[2] then
    mine = h
    was_established = h.state == "e"
    if ARGV[6] == "e" then mine.state = "e" end -- it knows better than data restored from an old snapshot
    holders[#holders + 1] = h
  elseif alive(h.node) then
    holders[#holders + 1] = h
  else
    dead[#dead + 1] = h
  end
end

local first_time = mine == nil
-- one that never had a place, as far as it knows; who is established may come back whatever has become of the line
local newcomer = first_time and ARGV[5] == "" and ARGV[6] == "w"
if first_time and ARGV[6] == "w" then
  local blocked = tonumber(redis.call("ZSCORE", KEYS[7], ARGV[1]) or 0)
  if blocked > now then return { "b", "", text(blocked - now), "" } end
end
local settled = now >= tonumber(generation.settles_at)
local ahead = holders[#holders]
if newcomer and ARGV[12] == "no" then
  -- It takes a place only to be established at once. Where it may not be it has none that an announced holder would have to
  -- be asked to leave for; and what stands in data that may be old, or is missing there, refuses nobody until that settles.
  if not settled then return { "w", "" } end
  if ahead then return { "o", "", ahead.session, ahead.node } end
elseif newcomer and ahead then
  local refusal = crowded()
  if refusal then return { refusal, "", ahead.session, ahead.node } end
end

for _, h in ipairs(dead) do
  if h.state == "e" then note_session(KEYS[6], "replaced", h, ARGV[1]) end
end
if first_time then
  local epoch, last = ARGV[5], tonumber(redis.call("GET", KEYS[5]) or 0)
  if epoch == "" then
    -- one that has to ask again came when it asked first
    epoch = text(ARGV[10] == "" and math.max(last + 1, epoch_now) or epoch_now - ARGV[10] * 1000)
  end
  if tonumber(epoch) > last then redis.call("SET", KEYS[5], epoch) end
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
  -- until it settles the line may lack a session that its process has yet to announce
  if mine.state ~= "w" or settled then
    mine.state = "e"
    answer = "e"
  end
else
  -- the second newest hears it now, the older ones have heard it from their successors; a repetition tells them all
  for i = first_time and #holders - 1 or 1, #holders - 1 do
    local h = holders[i]
    publish(ARGV[11] .. h.node, "evict " .. h.session .. " " .. ARGV[2] .. " " .. ARGV[3] .. " " .. ARGV[1])
  end
end

if mine.state == "e" and not was_established then note_session(KEYS[6], "opened", mine, ARGV[1]) end
redis.call("HSET", KEYS[2], ARGV[1], format(holders))
return { answer, mine.epoch, newest.session, newest.node }

-- Takes one session out of the line of its client_id, and only that one; when a single one is left, it is its turn.
--
-- KEYS[1] hash: the generation, see generation.lua    KEYS[2] hash: client_id -> line, see shared.lua
-- KEYS[3] sorted set: node -> end of its lease        KEYS[4] stream: the events, see shared.lua
-- ARGV[1] client_id                                   ARGV[2] session_id
-- ARGV[3] prefix of the nodes' channels
-- ARGV[4] what the caller knows of the session:
--   held   it was established until now, by the caller
--   ended  it is the caller's, and not established now
--   dead   it is another node's: take it out only where that node has no lease
--
-- Returns 1 when the session was taken out, else 0.

local holders, removed = {}, nil
for _, h in ipairs(parse(redis.call("HGET", KEYS[2], ARGV[1]))) do
  if h.session == ARGV[2] then removed = h else holders[#holders + 1] = h end
end
if not removed then return 0 end
if ARGV[4] == "dead" and alive(removed.node) then return 0 end

local newest = holders[#holders]
if removed.state == "e" then
  local replaced = newest and tonumber(newest.epoch) > tonumber(removed.epoch)
  note_session(KEYS[4], replaced and "replaced" or "closed", removed, ARGV[1])
end
if not newest then
  redis.call("HDEL", KEYS[2], ARGV[1])
  return 1
end

if ARGV[4] == "held" and newest.state == "w" then newest.state = "v" end
if #holders == 1 and newest.state ~= "e" then
  if newest.state == "v" or now >= tonumber(generation.settles_at or math.huge) then
    newest.state = "e"
    note_session(KEYS[4], "opened", newest, ARGV[1])
    publish(ARGV[3] .. newest.node, "turn " .. newest.session)
  end
end
redis.call("HSET", KEYS[2], ARGV[1], format(holders))
return 1

-- What the operations on one client share; stands before each of them.
--
-- KEYS[1] hash: the generation, see generation.lua    KEYS[2] hash: client_id -> line, see shared.lua
-- KEYS[3] sorted set: node -> end of its lease        KEYS[4] hash: what is known of each node, see renew.lua
-- KEYS[5] string: the last epoch                      KEYS[6] sorted set: client_id -> end of its block, both ends in ms of
--                                                             the clock of the leases
-- ARGV[1] client_id                                   ARGV[2] prefix of the nodes' channels
-- ARGV[3] node that asks, ARGV[4] its connection, ARGV[5] generation, and ARGV[6] when it gives that connection up, as in claim.lua
-- ARGV[7] the condition: session_ids with blanks between, one of which must be established; "*" for any, "" for none
--
-- Returns { "lapsed" } when the node must renew its lease first, { "late" } when its connection was given up, { "other" } when
-- the session that is established is not one of the condition; else what is said there.

if time > tonumber(ARGV[6]) then return { "late" } end

if not current(ARGV[3], ARGV[4], ARGV[5]) then return { "lapsed" } end

local holders, established = {}, nil
for _, h in ipairs(parse(redis.call("HGET", KEYS[2], ARGV[1]))) do
  if alive(h.node) then
    holders[#holders + 1] = h
    if h.state == "e" then established = h end
  end
end

-- Until it settles the line may lack a session that its process has yet to announce.
local settled = now >= tonumber(generation.settles_at)
local nobody = settled and "nobody" or "unsettled"

if ARGV[7] ~= "" then
  if not established then return { nobody } end
  local named = string.find(" " .. ARGV[7] .. " ", " " .. established.session .. " ", 1, true)
  if ARGV[7] ~= "*" and not named then return { "other" } end
end

-- Ends the sessions of a client_id, and asks again whether they have ended. KEYS and ARGV[1] to [7] as in operation.lua, which
-- stands before.
--
-- ARGV[8] "" when it is asked first, else the epoch that the first answer had: whoever came later is not touched
-- ARGV[9] the only session to be ended, as a former answer had it; "" for all
-- ARGV[10] for how long to block the client, ms; "" when it is not to be blocked, or was; ARGV[11] how many may be blocked
--
-- Returns { "full" } when too many are blocked already, else { answer, epoch, only session }; answer is
--   left       some are still there, and were asked to go (once more)
--   unsettled  none is known, but it is not known whether there are others
--   nobody     none is there

local until_epoch, only = ARGV[8], ARGV[9]
if until_epoch == "" then
  if ARGV[7] ~= "" and ARGV[7] ~= "*" and ARGV[10] == "" then only = established.session end
  -- the next to come gets a later one
  until_epoch = text(math.max(tonumber(redis.call("GET", KEYS[5]) or 0) + 1, epoch_now))
  redis.call("SET", KEYS[5], until_epoch)
end
if ARGV[10] ~= "" then
  local over = redis.call("ZRANGEBYSCORE", KEYS[6], "-inf", text(now))
  for _, client_id in ipairs(over) do redis.call("ZREM", KEYS[6], client_id) end
  if not redis.call("ZSCORE", KEYS[6], ARGV[1]) and redis.call("ZCOUNT", KEYS[6], "-inf", "+inf") >= tonumber(ARGV[11]) then
    return { "full" }
  end
  redis.call("ZADD", KEYS[6], text(now + tonumber(ARGV[10])), ARGV[1])
  for _, node in ipairs(redis.call("ZRANGEBYSCORE", KEYS[3], "(" .. text(now), "+inf")) do
    publish(ARGV[2] .. node, "block " .. ARGV[10] .. " " .. ARGV[1])
  end
end

local left = false
for _, h in ipairs(holders) do
  if tonumber(h.epoch) <= tonumber(until_epoch) and (only == "" or h.session == only) then
    left = true
    publish(ARGV[2] .. h.node, "end " .. h.session .. " " .. ARGV[1])
  end
end
return { left and "left" or nobody, until_epoch, only }

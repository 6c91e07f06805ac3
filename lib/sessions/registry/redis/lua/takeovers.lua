-- How often a client_id was taken over within the last minute; stands before claim.lua, for its KEYS and ARGV.
--
-- KEYS[8] string: when it was, ms of Redis's own clock, a word for each; before them "told" where a newcomer has been refused
-- since. It ends two minutes after the last takeover, so that nothing is left behind, and a duel is told of once: in each minute
-- of it there is a takeover. No safety depends on it: a loss of the data or a step of the clock makes room.

local minute = 60000

-- Counts a takeover where there is room for it. Returns nil then, else "c", or "f" for the first that finds none.
local function crowded()
  local limit = tonumber(ARGV[13])
  if limit == 0 then return nil end
  local before = redis.call("GET", KEYS[8]) or ""
  local words = { string.match(before, "^told") }
  local told = #words == 1
  local count = 0
  for at in string.gmatch(before, "%d+") do
    local age = time - at
    if age >= 0 and age < minute then
      count = count + 1
      words[#words + 1] = at
    end
  end
  if count >= limit then
    if told then return "c" end
    redis.call("SET", KEYS[8], "told " .. before, "PX", text(2 * minute))
    return "f"
  end
  words[#words + 1] = text(time)
  redis.call("SET", KEYS[8], table.concat(words, " "), "PX", text(2 * minute))
  return nil
end


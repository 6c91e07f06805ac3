-- Sends a text to the established session of a client_id. KEYS and ARGV[1] to [7] as in operation.lua, which stands before.
--
-- ARGV[8] by which name the answer comes, from the node of the session to that which asks
-- ARGV[9] the text
--
-- Returns { "nobody" }, { "unsettled" } where that is not known yet, or { "established", session_id }

if not established then return { nobody } end
local message = "send " .. established.session .. " " .. ARGV[8] .. " " .. ARGV[3] .. " " .. ARGV[9]
publish(ARGV[2] .. established.node, message)
return { "established", established.session }

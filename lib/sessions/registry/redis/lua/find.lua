-- Finds the established session of a client_id. KEYS and ARGV as in operation.lua, which stands before.
--
-- Returns { "nobody" }, { "unsettled" } where that is not known yet, or
--   { "established", session_id, node, epoch, connected_at }

if not established then return { nobody } end
return { "established", established.session, established.node, established.epoch, established.at }

-- Sends a message to a node.
--
-- KEYS[1] hash: the generation, see generation.lua
-- ARGV[1] the node's channel    ARGV[2] the message

publish(ARGV[1], ARGV[2])

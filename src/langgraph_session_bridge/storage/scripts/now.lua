-- Whether a shard still has the epoch that the caller knows, on the server that the script was loaded on.
local header = KEYS[1]
local epoch = ARGV[1]
if redis.call('HGET', header, 'ep') ~= epoch then return {'EPOCH'} end
return {'OK', epoch}

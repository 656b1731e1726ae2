-- A note for reading the archive: as long as it stands, nothing of the thread was deleted, pruned or evicted.
local thread, header = KEYS[1], KEYS[2]
local epoch, ns = ARGV[1], ARGV[2]
if redis.call('HGET', header, 'ep') ~= epoch then return {'EPOCH'} end
if redis.call('HEXISTS', thread, 'hold') == 1 then return {'HELD'} end
return cold(thread, header, epoch, ns)

-- Ends a generation: hot state goes, and log entries of older generations will not be flushed.
local thread, header, records = KEYS[1], KEYS[2], KEYS[3]
local generation, ttl = ARGV[1], ARGV[2]
local state = redis.call('HMGET', thread, 'g')
if state[1] and tonumber(state[1]) >= tonumber(generation) then return {'OK'} end
redis.call('DEL', thread, records)
redis.call('HSET', thread, 'g', generation, 'e', redis.call('HGET', header, 'ep') or '', 's', 0, 'fl', 0)
redis.call('PEXPIRE', thread, ttl)
return {'OK'}

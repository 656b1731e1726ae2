-- Announces the end of a generation: nobody puts until `fence` names the next one, or the hold expires because its owner
-- died. The thread must be flushed, so that nothing is lost if the delete never happens.
local thread, header, records = KEYS[1], KEYS[2], KEYS[3]
local epoch, ttl = ARGV[1], ARGV[2]
if redis.call('HGET', header, 'ep') ~= epoch then return {'EPOCH'} end
local state = redis.call('HMGET', thread, 's', 'fl')
if state[1] ~= state[2] or redis.call('HLEN', records) > 0 then return {'DIRTY'} end
redis.call('DEL', thread)
redis.call('HSET', thread, 'hold', 1)
redis.call('PEXPIRE', thread, ttl)
return {'OK'}

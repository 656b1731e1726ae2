-- Drops a thread's hot state so that the next reader asks the archive. Unflushed data of this epoch always stays.
local thread, header, parked, stale_only = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if redis.call('HEXISTS', parked, ARGV[2]) == 1 then return {'DIRTY'} end
local state = redis.call('HMGET', thread, 's', 'fl', 'e')
if redis.call('HEXISTS', thread, 'hold') == 1 then return {'OK'} end
if state[1] then
  local stale = state[3] ~= redis.call('HGET', header, 'ep')
  if stale_only == '1' and not stale then return {'OK'} end
  if stale_only ~= '1' and state[1] ~= state[2] then return {'DIRTY'} end
end
redis.call('DEL', thread)
return {'OK'}

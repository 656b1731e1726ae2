-- Shows the gate that the archive has by now, unless a newer one is shown. A thread without hot state gets its gate when it is
-- filled; whoever read the archive for that before now has to read it again.
local thread, header = KEYS[1], KEYS[2]
local epoch, generation, version, gate = unpack(ARGV, 1, 4)
if redis.call('HGET', header, 'ep') ~= epoch then return {'EPOCH'} end
local state = redis.call('HMGET', thread, 'g', 'gate', 'hold')
if state[3] then return {'OK'} end
if not state[1] then
  redis.call('DEL', thread)
  return {'OK'}
end
if state[1] ~= generation then return {'OK'} end
local shown = tonumber(string.match(state[2] or '', '^%d+') or 0)
if shown < tonumber(version) then redis.call('HSET', thread, 'gate', gate) end
return {'OK'}

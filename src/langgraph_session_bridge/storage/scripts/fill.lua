-- Copies a namespace's head from the archive, unless the thread changed since the archive was asked.
local thread, header = KEYS[1], KEYS[2]
local epoch, note, generation, ns, cid, ttl, gate, manifest = unpack(ARGV, 1, 8)
local writes_count = tonumber(ARGV[9])

if redis.call('HGET', header, 'ep') ~= epoch then return {'EPOCH'} end
if redis.call('HGET', thread, 'ask/' .. ns) ~= note then return {'RACED'} end
local state = redis.call('HMGET', thread, 'g', 'e', 'h/' .. ns, 's', 'fl', 'hold')
if state[6] then return {'HELD'} end
if state[1] then
  if state[2] ~= epoch then return {'STALE'} end
  if state[1] ~= generation then return {'GENERATION', state[1]} end
else
  redis.call('HSET', thread, 'g', generation, 'e', epoch, 's', 0, 'fl', 0)
end
-- What finished a deletion left the generation alone; a gate that is shown is at least as new as this reading.
if gate ~= '' then redis.call('HSETNX', thread, 'gate', gate) end

redis.call('HDEL', thread, 'ask/' .. ns)
local at = 10
local lists = {}
for _ = 1, writes_count do
  local target, field, raw = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  redis.call('HSET', thread, field, raw)
  lists[target] = (lists[target] or '') .. '0 ' .. field .. '\n'
end
for target, list in pairs(lists) do
  redis.call('HSET', thread, 'W/' .. ns .. '/' .. target, list)
end
while at < #ARGV do
  redis.call('HSET', thread, ARGV[at], ARGV[at + 1])
  at = at + 2
end
if cid ~= '' then
  local fields, pieces, runs = unpack(cmsgpack.unpack(manifest))
  redis.call('HSET', thread, 'm/' .. ns .. '/' .. cid, cmsgpack.pack({0, fields, pieces}))
  local indexes = {}
  for i = 1, #runs, 5 do
    local index = index_field(runs[i], math.floor(runs[i + 1] / BLOCK))
    indexes[index] = (indexes[index] or '') .. run_line(runs[i + 1], runs[i + 2], runs[i + 3], runs[i + 4])
  end
  for index, lines in pairs(indexes) do redis.call('HSET', thread, index, lines) end
end
redis.call('HSET', thread, 'h/' .. ns, cid)
if (state[4] or '0') == (state[5] or '0') then redis.call('PEXPIRE', thread, ttl) end
return {'OK'}

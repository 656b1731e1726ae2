-- Notes what an archived checkpoint refers to, so that a put on it can share that. A manifest that is here is newer.
local thread, header = KEYS[1], KEYS[2]
local epoch, note, generation, ns, cid, manifest = unpack(ARGV, 1, 6)
if redis.call('HGET', header, 'ep') ~= epoch then return {'EPOCH'} end
local state = redis.call('HMGET', thread, 'g', 'e', 'ask/' .. ns)
if state[1] ~= generation or state[2] ~= epoch or state[3] ~= note then return {'RACED'} end
redis.call('HDEL', thread, 'ask/' .. ns)
local fields, pieces = unpack(cmsgpack.unpack(manifest))
redis.call('HSETNX', thread, 'm/' .. ns .. '/' .. cid, cmsgpack.pack({0, fields, pieces}))
return {'OK'}

-- Journals facets of one thread's records in one step. A retry whose first attempt did arrive has no second effect.
local thread, log, header, records = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, generation, token, thread_id, raw, max_entries, max_bytes = unpack(ARGV, 1, 7)

local shard = redis.call('HMGET', header, 'ep', 'n', 'b')
if shard[1] ~= epoch then return {'EPOCH'} end
local state = redis.call('HMGET', thread, 'g', 'e', 'hold')
if state[3] then return {'HELD'} end
if not state[1] then return cold(thread, header, epoch, '') end
if state[2] ~= epoch then return {'STALE'} end
if state[1] ~= generation then return {'GENERATION', state[1]} end

local before = redis.call('HGET', records, token)
if before then
  local seq, id = string.match(before, '^%d+ %d+ (%d+) ([%d-]+):')
  return {'OK', tonumber(seq), id, epoch}
end
local entries, bytes = tonumber(shard[2] or 0), tonumber(shard[3] or 0)
if entries > 0 and (entries >= tonumber(max_entries) or bytes + #raw > tonumber(max_bytes)) then
  return {'BUSY', entries, bytes}
end

local seq = redis.call('HINCRBY', header, 'c', 1)
local id = redis.call('XADD', log, '*', 't', thread_id, 'g', generation, 'q', seq, 'e', epoch, 'k', 'r', 'n', '', 'c', '',
  'b', #raw, 'r', cmsgpack.pack({token}), 'f', cmsgpack.pack({}))
redis.call('HINCRBY', header, 'n', 1)
redis.call('HINCRBY', header, 'b', #raw)
redis.call('HSET', records, token, generation .. ' ' .. epoch .. ' ' .. seq .. ' ' .. id .. ':' .. raw)
return {'OK', seq, id, epoch}

-- The head of a namespace (or one checkpoint of it) with everything that belongs to it, in one round trip.
local thread, header = KEYS[1], KEYS[2]
local epoch, ns, cid = ARGV[1], ARGV[2], ARGV[3]

local shard = redis.call('HMGET', header, 'ep')
if shard[1] ~= epoch then return {'EPOCH'} end
local state = redis.call('HMGET', thread, 'g', 'e', 'h/' .. ns, 'hold')
if state[4] then return {'HELD'} end
if not state[1] then return cold(thread, header, epoch, ns) end
if state[2] ~= epoch then return {'STALE'} end
if not state[3] then return cold(thread, header, epoch, ns) end
local head = state[3]
if cid == '' then
  if head == '' then return {'NONE', state[1]} end
  cid = head
end

local documents = {}
local function collect(field)
  documents[#documents + 1] = field
  documents[#documents + 1] = redis.call('HGET', thread, field)
end
for _, field in ipairs((writes_of(thread, 'W/' .. ns .. '/' .. cid))) do collect(field) end
local name = 'c/' .. ns .. '/' .. cid
local manifest = unpacked(redis.call('HGET', thread, 'm/' .. ns .. '/' .. cid))
if not manifest or redis.call('HEXISTS', thread, name) == 0 then
  return {'MISS', state[1], cid, 0, documents}
end
collect(name)
for _, field in ipairs(manifest[2]) do collect(field) end
local pieces = manifest[3]
for i = 1, #pieces, 3 do
  each_run_of(thread, pieces[i], pieces[i + 1], pieces[i + 2], function(fields)
    for _, field in ipairs(fields) do collect(field) end
  end)
end
return {'HIT', state[1], cid, cid == head and 1 or 0, documents}

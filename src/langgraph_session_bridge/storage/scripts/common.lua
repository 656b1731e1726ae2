-- Layout of a thread's hash:
--   g generation · e epoch it was checked in · s last sequence · fl flushed up to · tok recent call tokens
--   h/<ns>         head: {checkpoint id, last sequence in this namespace}
--   m/<ns>/<cid>   manifest: {sequence, {fields a reader needs besides the checkpoint}}
--   W/<ns>/<cid>   pending writes: {{field, sequence}, ...}
--   everything else: documents, named as in the archive
-- Layout of a shard's header hash: ep epoch · rid server run id · id deployment · c counter · n, b backlog · dc drops

-- Byte order, as in the archive: Lua's own `<` follows the server's locale.
local function before(a, b)
  if a == b then return false end
  local n = math.min(#a, #b)
  for i = 1, n do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function unpacked(value)
  if value then return cmsgpack.unpack(value) end
end

-- Removes what is flushed of a checkpoint that is no longer the head. Unflushed documents always stay.
local function drop(thread, ns, cid, flushed, head)
  local name = 'm/' .. ns .. '/' .. cid
  local manifest = unpacked(redis.call('HGET', thread, name))
  if manifest and manifest[1] > flushed then return end
  if manifest then
    local keep = {}
    local kept = unpacked(redis.call('HGET', thread, 'm/' .. ns .. '/' .. head))
    if kept then for _, field in ipairs(kept[2]) do keep[field] = true end end
    redis.call('HDEL', thread, name, 'c/' .. ns .. '/' .. cid)
    for _, field in ipairs(manifest[2]) do
      if not keep[field] then redis.call('HDEL', thread, field) end
    end
  end
  local list = 'W/' .. ns .. '/' .. cid
  local writes = unpacked(redis.call('HGET', thread, list))
  if not writes then return end
  local rest = {}
  for _, entry in ipairs(writes) do
    if entry[2] > flushed then rest[#rest + 1] = entry else redis.call('HDEL', thread, entry[1]) end
  end
  if #rest == 0 then redis.call('HDEL', thread, list)
  else redis.call('HSET', thread, list, cmsgpack.pack(rest)) end
end

-- Forgets one log entry that MongoDB confirmed, and what its thread no longer needs in Redis. An entry that is not in the
-- log was acknowledged before, or belongs to a memory that was lost: its numbers mean nothing here.
local function acknowledge(log, header, thread, id, size, generation, seq, ns, cid)
  if redis.call('XDEL', log, id) == 0 then return end
  redis.call('HINCRBY', header, 'n', -1)
  redis.call('HINCRBY', header, 'b', -size)
  local state = redis.call('HMGET', thread, 'g', 'fl', 'h/' .. ns)
  if state[1] ~= generation then return end
  local flushed = math.max(tonumber(state[2]), seq)
  redis.call('HSET', thread, 'fl', flushed)
  local head = unpacked(state[3])
  if head and before(cid, head[1]) then drop(thread, ns, cid, flushed, head[1]) end
end

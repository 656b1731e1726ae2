-- Layout of a thread's hash (or `hold` alone, while the thread is being deleted):
--   g generation · e epoch it was checked in · s last sequence · fl flushed up to · tok recent call tokens
--   h/<ns>         head: checkpoint id, empty if the namespace is known to have none
--   m/<ns>/<cid>   manifest: {sequence, {fields a reader needs besides the checkpoint}}
--   W/<ns>/<cid>   pending writes, oldest first: a line "sequence field" each (a later line for a field counts)
--   ask/<ns>       note that the namespace is being read from the archive
--   everything else: documents, named as in the archive
-- Layout of a shard's header hash: ep epoch · rid server run id · id deployment · c counter · n, b backlog · asks notes given

-- Called without arguments: being loaded. (SCRIPT LOAD would do, but Redis 6.2 restores what it loaded after a restart.)
if #ARGV == 0 then return 0 end

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

-- Fields of a checkpoint's pending writes, oldest first, and the sequence of each.
local function writes_of(thread, list)
  local fields, sequences = {}, {}
  for seq, field in string.gmatch(redis.call('HGET', thread, list) or '', '(%d+) ([^\n]*)\n') do
    if not sequences[field] then fields[#fields + 1] = field end
    sequences[field] = tonumber(seq)
  end
  return fields, sequences
end

-- Answers that a namespace must be read from the archive, with a note. Whatever could outdate that reading takes the note:
-- a put needs a fill first, which takes it; deleting, evicting and expiring take the whole hash.
local function cold(thread, header, epoch, ns)
  local note = redis.call('HGET', thread, 'ask/' .. ns)
  if not note or string.sub(note, 1, #epoch + 1) ~= epoch .. ':' then
    note = epoch .. ':' .. redis.call('HINCRBY', header, 'asks', 1)
    redis.call('HSET', thread, 'ask/' .. ns, note)
    if redis.call('HEXISTS', thread, 'g') == 0 then redis.call('PEXPIRE', thread, 60000) end
  end
  return {'COLD', note}
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
  local fields, sequences = writes_of(thread, list)
  local rest = {}
  for _, field in ipairs(fields) do
    if sequences[field] > flushed then rest[#rest + 1] = sequences[field] .. ' ' .. field .. '\n'
    else redis.call('HDEL', thread, field) end
  end
  if #rest == 0 then redis.call('HDEL', thread, list)
  else redis.call('HSET', thread, list, table.concat(rest)) end
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
  local head = state[3]
  if head and before(cid, head) then drop(thread, ns, cid, flushed, head) end
end

-- Layout of a thread's hash (or `hold` alone, while the thread is being deleted):
--   g generation · e epoch it was checked in · s last sequence · fl flushed up to · tok recent call tokens
--   h/<ns>         head: checkpoint id, empty if the namespace is known to have none
--   m/<ns>/<cid>   manifest: {sequence, {fields a reader needs besides the checkpoint}, {lineage, start, stop, ...}}
--   L/<lineage>    end of a lineage that was begun in this memory; without it nobody may continue the lineage
--   L/<lineage>/<block>   its runs in one block of positions: "start stop digest chunks;" each
--   W/<ns>/<cid>   pending writes, oldest first: a line "sequence field" each (a later line for a field counts)
--   gate           version, mode, token, end and owner of the newest lease; without it everything is let through
--   ask/<ns>       note that the namespace is being read from the archive
--   everything else: documents, named as in the archive
-- Layout of a shard's header hash: ep epoch · rid server run id · id deployment · c counter · c0 counter when the epoch
-- began · n, b backlog · asks notes given

local function run_of_this_server()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
end

-- Called without arguments: being loaded. (SCRIPT LOAD would do, but Redis 6.2 restores what it loaded after a restart.)
if #ARGV == 0 then return run_of_this_server() end

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

local BLOCK = 64 -- as in runs.py: no run crosses a multiple

local function index_field(lineage, block)
  return 'L/' .. lineage .. '/' .. block
end

local function run_line(start, stop, digest, chunks)
  return start .. ' ' .. stop .. ' ' .. digest .. ' ' .. chunks .. ';'
end

-- Calls visit(field, start, stop, line, chunk fields) for each run of a block, in order.
local function each_run(thread, lineage, block, visit)
  local index = redis.call('HGET', thread, index_field(lineage, block)) or ''
  for line, start, stop, digest, chunks in string.gmatch(index, '((%d+) (%d+) (%w*) (%d+);)') do
    local fields = {string.format('s/%s/%08x', lineage, tonumber(start))}
    for n = 0, tonumber(chunks) - 1 do fields[#fields + 1] = string.format('x/%s/%05d', digest, n) end
    visit(fields, tonumber(start), tonumber(stop), line)
  end
end

-- Calls visit for each run that holds a part of a piece.
local function each_run_of(thread, lineage, from, to, visit)
  for block = math.floor(from / BLOCK), math.floor((to - 1) / BLOCK) do
    each_run(thread, lineage, block, function(fields, start, stop, line)
      if start < to and stop > from then visit(fields, start, stop, line) end
    end)
  end
end

-- Whether some pieces (a flat list) together hold all of another.
local function holds(pieces, lineage, from, to)
  local position = from
  while position < to do
    local reached = position
    for i = 1, #pieces, 3 do
      if pieces[i] == lineage and pieces[i + 1] <= position and pieces[i + 2] > reached then reached = pieces[i + 2] end
    end
    if reached == position then return false end
    position = reached
  end
  return true
end

local function touches(pieces, lineage, from, to)
  for i = 1, #pieces, 3 do
    if pieces[i] == lineage and pieces[i + 1] < to and pieces[i + 2] > from then return true end
  end
  return false
end

-- Removes the runs of a piece that no piece in `kept` needs. A run that holds a part of a flushed checkpoint's piece is
-- flushed: one put of its ancestors stored it.
local function drop_runs(thread, lineage, from, to, kept)
  for block = math.floor(from / BLOCK), math.floor((to - 1) / BLOCK) do
    local left, gone = {}, false
    each_run(thread, lineage, block, function(fields, start, stop, line)
      if stop <= from or start >= to or touches(kept, lineage, start, stop) then
        left[#left + 1] = line
      else
        redis.call('HDEL', thread, unpack(fields))
        gone = true
      end
    end)
    if gone and #left == 0 then redis.call('HDEL', thread, index_field(lineage, block))
    elseif gone then redis.call('HSET', thread, index_field(lineage, block), table.concat(left)) end
  end
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

-- Why a thread's gate refuses a put, if it does (as in gates.py): a token must be that of the newest lease, and who has none
-- may not put while somebody else's lease lasts.
local function barred(gate, fence, begins)
  local mode, current, till, owner = string.match(gate or '', '^%d+ (%w+) (%d+) (%d+) (.*)$')
  if mode == 'ended' then return {'BARRED', mode, '', '0'} end
  if mode == 'paused' and begins == '1' then return {'BARRED', mode, '', '0'} end
  if fence ~= '0' then
    if fence ~= current then return {'BARRED', 'fenced', owner or '', till or '0'} end
  elseif till and till ~= '0' then
    local now = redis.call('TIME')
    if tonumber(till) > now[1] * 1000 + math.floor(now[2] / 1000) then return {'BARRED', 'leased', owner, till} end
  end
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
    local kept = unpacked(redis.call('HGET', thread, 'm/' .. ns .. '/' .. head)) or {0, {}, {}}
    for _, field in ipairs(kept[2]) do keep[field] = true end
    redis.call('HDEL', thread, name, 'c/' .. ns .. '/' .. cid)
    for _, field in ipairs(manifest[2]) do
      if not keep[field] then redis.call('HDEL', thread, field) end
    end
    local old = manifest[3]
    for i = 1, #old, 3 do
      if not holds(kept[3], old[i], old[i + 1], old[i + 2]) then
        drop_runs(thread, old[i], old[i + 1], old[i + 2], kept[3])
      end
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

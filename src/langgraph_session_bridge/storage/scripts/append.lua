-- Appends one put (kind c) or one set of writes (kind w): documents, log entry and counters, all or nothing.
-- On the way it acknowledges earlier entries of the thread that the caller archived itself.
local thread, log, header = KEYS[1], KEYS[2], KEYS[3]
local epoch, generation, token, thread_id, kind, ns, cid = unpack(ARGV, 1, 7)
local parent, size, manifest, max_entries, max_bytes = ARGV[8], tonumber(ARGV[9]), ARGV[10], ARGV[11], ARGV[12]
local prefix, fence, begins, archived = tonumber(ARGV[13]), ARGV[14], ARGV[15], tonumber(ARGV[16])
local first_document = 17 + archived * 6

-- The name of a document: what its `_id`, the first thing in its BSON, says after thread and generation.
local function name_of(raw)
  return string.sub(raw, 14 + prefix, 12 + struct.unpack('<i4', raw, 10))
end

local shard = redis.call('HMGET', header, 'ep', 'n', 'b')
if shard[1] ~= epoch then return {'EPOCH'} end
for i = 17, first_document - 1, 6 do
  acknowledge(log, header, thread, ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4],
    ARGV[i + 5])
end
local state = redis.call('HMGET', thread, 'g', 'e', 's', 'fl', 'tok', 'h/' .. ns, 'hold', 'gate')
if state[7] then return {'HELD'} end
if not state[1] then return cold(thread, header, epoch, ns) end
if state[2] ~= epoch then return {'STALE'} end
if state[1] ~= generation then return {'GENERATION', state[1]} end
if not state[6] then return cold(thread, header, epoch, ns) end
local last, flushed, tokens = tonumber(state[3]), tonumber(state[4]), state[5] or ''

-- A retry whose first attempt did arrive: the same answer again.
local seq_seen, id_seen = string.match(tokens, token .. '=(%d+)=([%d-]*);')
if seq_seen then return {'OK', tonumber(seq_seen), id_seen, 0, epoch, 0} end

if state[8] or fence ~= '0' then
  local refusal = barred(state[8], fence, begins)
  if refusal then return refusal end
end

local entries, bytes = tonumber(shard[2] or 0), tonumber(shard[3] or 0)
if entries > 0 and (entries >= tonumber(max_entries) or bytes + size > tonumber(max_bytes)) then
  return {'BUSY', entries, bytes}
end

local fields, pieces, shared, runs = {}, {}, {}, {}
if manifest ~= '' then
  fields, pieces, shared, runs = unpack(cmsgpack.unpack(manifest))
  if parent ~= '' then
    local own, known = {}, {}
    for i = first_document, #ARGV, 2 do own[name_of(ARGV[i + 1])] = true end
    local proof = unpacked(redis.call('HGET', thread, 'm/' .. ns .. '/' .. parent))
    if not proof then return {'NEED'} end
    for _, field in ipairs(proof[2]) do known[field] = true end
    for _, field in ipairs(fields) do
      if not own[field] and not known[field] then return {'NEED'} end
    end
    for i = 1, #shared, 3 do
      if not holds(proof[3], shared[i], shared[i + 1], shared[i + 2]) then return {'NEED'} end
    end
  end
end

-- Every run starts where its lineage ends; two branches never share a position.
local ends = {}
for i = 1, #runs, 5 do
  local lineage = runs[i]
  if runs[i + 1] ~= (ends[lineage] or tonumber(redis.call('HGET', thread, 'L/' .. lineage) or 0)) then return {'TIP'} end
  ends[lineage] = runs[i + 2]
end

local seq = redis.call('HINCRBY', header, 'c', 1)
local replaced, firsts, stored = {}, {}, 0
for i = first_document, #ARGV, 2 do
  local raw = ARGV[i + 1]
  local field = name_of(raw)
  if ARGV[i] == '1' then
    if redis.call('HSETNX', thread, field, raw) == 1 then
      firsts[#firsts + 1] = field
      stored = stored + #raw
    end
  else
    redis.call('HSET', thread, field, raw)
    replaced[#replaced + 1] = field
    stored = stored + #raw
  end
end

if kind == 'c' then
  redis.call('HSET', thread, 'm/' .. ns .. '/' .. cid, cmsgpack.pack({seq, fields, pieces}))
  for i = 1, #runs, 5 do
    local index = index_field(runs[i], math.floor(runs[i + 1] / BLOCK))
    local line = run_line(runs[i + 1], runs[i + 2], runs[i + 3], runs[i + 4])
    redis.call('HSET', thread, index, (redis.call('HGET', thread, index) or '') .. line)
  end
  for lineage, stop in pairs(ends) do redis.call('HSET', thread, 'L/' .. lineage, stop) end
  local old = state[6]
  if not before(cid, old) then
    redis.call('HSET', thread, 'h/' .. ns, cid)
    if old ~= '' and old ~= cid then drop(thread, ns, old, flushed, cid) end
  end
elseif stored > 0 then
  local list = 'W/' .. ns .. '/' .. cid
  local lines = {redis.call('HGET', thread, list) or ''}
  for _, set in ipairs({replaced, firsts}) do
    for _, field in ipairs(set) do lines[#lines + 1] = seq .. ' ' .. field .. '\n' end
  end
  redis.call('HSET', thread, list, table.concat(lines))
end

local id = ''
if stored > 0 then
  id = redis.call('XADD', log, '*', 't', thread_id, 'g', generation, 'q', seq, 'e', epoch, 'k', kind, 'n', ns, 'c', cid,
    'b', stored, 'r', cmsgpack.pack(replaced), 'f', cmsgpack.pack(firsts))
  redis.call('HINCRBY', header, 'n', 1)
  redis.call('HINCRBY', header, 'b', stored)
  redis.call('HSET', thread, 's', seq)
  redis.call('PERSIST', thread)
else
  seq = last
end
redis.call('HSET', thread, 'tok', string.sub(token .. '=' .. seq .. '=' .. id .. ';' .. tokens, 1, 2048))
return {'OK', seq, id, last == flushed and 1 or 0, epoch, stored}

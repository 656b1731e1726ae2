-- Replaces runs of one block by those that they were merged into. The thread must be flushed: a flusher may need the others.
local thread, header = KEYS[1], KEYS[2]
local epoch, generation, lineage, block = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call('HGET', header, 'ep') ~= epoch then return {'EPOCH'} end
local state = redis.call('HMGET', thread, 'g', 'e', 's', 'fl')
if state[1] ~= generation or state[2] ~= epoch then return {'OK'} end
if state[3] ~= state[4] then return {'DIRTY'} end
for i = 5, #ARGV, 3 do
  local from, to, raw = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), ARGV[i + 2]
  local left, absorbed = {}, {}
  each_run(thread, lineage, block, function(fields, start, stop, line)
    if start >= from and stop <= to then
      for _, field in ipairs(fields) do absorbed[#absorbed + 1] = field end
    else left[#left + 1] = line end
  end)
  if #absorbed > 1 then
    redis.call('HDEL', thread, unpack(absorbed))
    redis.call('HSET', thread, string.format('s/%s/%08x', lineage, from), raw)
    left[#left + 1] = run_line(from, to, '', 0)
    redis.call('HSET', thread, index_field(lineage, block), table.concat(left))
  end
end
return {'OK'}

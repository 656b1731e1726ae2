-- Puts the dead letters of a thread back into the log, oldest first.
local log, header, dead, parked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local thread_id, count = ARGV[1], 0
redis.call('XDEL', log, '0-1') -- a full server refuses a script whose first write may grow
for _, row in ipairs(redis.call('XRANGE', dead, '-', '+')) do
  local fields = row[2]
  local entry, kept = {}, {}
  for n = 1, #fields, 2 do
    entry[fields[n]] = fields[n + 1]
    if fields[n] ~= 'why' then
      kept[#kept + 1] = fields[n]
      kept[#kept + 1] = fields[n + 1]
    end
  end
  if entry.t == thread_id then
    redis.call('XADD', log, '*', unpack(kept)) -- first, so that a refusal here loses nothing
    redis.call('XDEL', dead, row[1])
    redis.call('HINCRBY', header, 'n', 1)
    redis.call('HINCRBY', header, 'b', entry.b)
    count = count + 1
  end
end
redis.call('HDEL', parked, thread_id)
return count

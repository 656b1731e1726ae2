-- Forgets the dead letters of a thread, and with them what Redis shows of it: readers ask the archive again.
local thread, dead, parked, records = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local thread_id, count = ARGV[1], 0
for _, row in ipairs(redis.call('XRANGE', dead, '-', '+')) do
  local entry = {}
  for n = 1, #row[2], 2 do entry[row[2][n]] = row[2][n + 1] end
  if entry.t == thread_id then
    redis.call('XDEL', dead, row[1])
    if entry.k == 'r' then redis.call('HDEL', records, unpack(cmsgpack.unpack(entry.r))) end
    count = count + 1
  end
end
if redis.call('HDEL', parked, thread_id) == 1 then redis.call('DEL', thread) end
return count

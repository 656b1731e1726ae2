-- Forgets the dead letters of a thread, and with them what Redis shows of it: readers ask the archive again.
local thread, dead, parked = KEYS[1], KEYS[2], KEYS[3]
local thread_id, count = ARGV[1], 0
for _, row in ipairs(redis.call('XRANGE', dead, '-', '+')) do
  for n = 1, #row[2], 2 do
    if row[2][n] == 't' and row[2][n + 1] == thread_id then
      redis.call('XDEL', dead, row[1])
      count = count + 1
    end
  end
end
if redis.call('HDEL', parked, thread_id) == 1 then redis.call('DEL', thread) end
return count

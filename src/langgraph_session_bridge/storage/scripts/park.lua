-- Moves log entries to the dead letters: MongoDB refuses them for good, or an earlier one of their thread. Their documents
-- stay in the thread's hash, which counts as unflushed.
local log, header, dead, parked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local reason, count = ARGV[1], 0
redis.call('XDEL', dead, '0-1') -- a full server refuses a script whose first write may grow
for i = 2, #ARGV do
  local rows = redis.call('XRANGE', log, ARGV[i], ARGV[i])
  if #rows == 1 then
    local fields = rows[1][2]
    local entry = {}
    for n = 1, #fields, 2 do entry[fields[n]] = fields[n + 1] end
    redis.call('XADD', dead, '*', 'why', reason, unpack(fields)) -- first, so that a refusal here loses nothing
    redis.call('HINCRBY', parked, entry.t, 1)
    redis.call('XDEL', log, ARGV[i])
    redis.call('HINCRBY', header, 'n', -1)
    redis.call('HINCRBY', header, 'b', -tonumber(entry.b))
    count = count + 1
  end
end
return count

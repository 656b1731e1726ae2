-- Forgets log entries that MongoDB confirmed, and what their threads no longer need in Redis.
local log, header = KEYS[1], KEYS[2]
local ttl, max_fields = ARGV[1], tonumber(ARGV[2])
local removed = 0
for i = 3, #ARGV, 7 do
  local thread, id, size, generation, seq, ns, cid =
    KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4]), ARGV[i + 5], ARGV[i + 6]
  if redis.call('XDEL', log, id) == 1 then
    removed = removed + 1
    redis.call('HINCRBY', header, 'n', -1)
    redis.call('HINCRBY', header, 'b', -tonumber(size))
  end
  local state = redis.call('HMGET', thread, 'g', 'fl', 'h/' .. ns)
  if state[1] == generation then
    local flushed = math.max(tonumber(state[2]), seq)
    redis.call('HSET', thread, 'fl', flushed)
    local head = unpacked(state[3])
    if head and before(cid, head[1]) then drop(thread, ns, cid, flushed, head[1]) end
  end
end
for i = 3, #KEYS do
  local state = redis.call('HMGET', KEYS[i], 's', 'fl')
  if state[1] and state[1] == state[2] then
    if redis.call('HLEN', KEYS[i]) > max_fields then
      redis.call('DEL', KEYS[i])
      redis.call('HINCRBY', header, 'dc', 1)
    else
      redis.call('PEXPIRE', KEYS[i], ttl)
    end
  end
end
return removed

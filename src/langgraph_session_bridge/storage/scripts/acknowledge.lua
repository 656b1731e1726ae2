-- Forgets log entries that MongoDB confirmed, and what their threads no longer need in Redis.
local log, header = KEYS[1], KEYS[2]
local ttl, max_fields = ARGV[1], tonumber(ARGV[2])
for i = 3, #ARGV, 7 do
  acknowledge(log, header, KEYS[tonumber(ARGV[i])], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3],
    tonumber(ARGV[i + 4]), ARGV[i + 5], ARGV[i + 6])
end
for i = 3, #KEYS do
  local state = redis.call('HMGET', KEYS[i], 's', 'fl')
  if state[1] and state[1] == state[2] then
    if redis.call('HLEN', KEYS[i]) > max_fields then
      redis.call('DEL', KEYS[i])
    else
      redis.call('PEXPIRE', KEYS[i], ttl)
    end
  end
end

-- Forgets log entries of records that MongoDB confirmed.
local log, header = KEYS[1], KEYS[2]
for i = 1, #ARGV, 4 do
  if redis.call('XDEL', log, ARGV[i + 1]) == 1 then
    redis.call('HINCRBY', header, 'n', -1)
    redis.call('HINCRBY', header, 'b', -tonumber(ARGV[i + 2]))
  end
  redis.call('HDEL', KEYS[tonumber(ARGV[i])], ARGV[i + 3])
end
return {'OK'}

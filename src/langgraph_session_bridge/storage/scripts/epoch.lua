-- Stamps a shard with a new epoch when its server is new, emptied, restored, restarted or promoted, or the stamp too old.
-- The stamp names the run of the server that serves the shard at this moment. Answers the epoch, that run, the counter when the
-- epoch began and now, and whether the shard was blank.
local header = KEYS[1]
local ordinal, floor, deployment = unpack(ARGV, 1, 3)
local run_id = run_of_this_server()
local state = redis.call('HMGET', header, 'ep', 'rid', 'id', 'c', 'c0')
if state[3] and state[3] ~= deployment then return {'FOREIGN', state[3]} end
local epoch, counter = tonumber(state[1] or 0), tonumber(state[4] or 0)
if state[1] and state[2] == run_id and epoch >= tonumber(floor) then
  return {'OK', state[1], run_id, tonumber(state[5] or 0), counter, 0}
end
if tonumber(ordinal) <= epoch or tonumber(ordinal) < tonumber(floor) then return {'LOW'} end
redis.call('HDEL', header, 'ep') -- a full server refuses a script whose first write may grow
redis.call('HSET', header, 'ep', ordinal, 'rid', run_id, 'id', deployment, 'c0', counter)
return {'OK', ordinal, run_id, counter, counter, state[3] and 0 or 1}

-- What is journaled of one thread's records and not yet archived: tokens and what belongs to them, one after the other.
local records = KEYS[1]
local tokens, found = redis.call('HKEYS', records), {'OK'}
for i = 1, #tokens, 1000 do
  local page = redis.call('HMGET', records, unpack(tokens, i, math.min(i + 999, #tokens)))
  for n = 1, #page do found[#found + 1] = page[n] end
end
return found

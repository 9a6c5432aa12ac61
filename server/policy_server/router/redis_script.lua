-- What the shared store does in one step each. Redis runs a script as a whole or not at all, so that no two replicas
-- ever count the same reward. KEYS[1] is the prefix of all keys, in braces: they lie in one slot of a cluster.
-- ARGV[1] names what to do; the tables of SqliteStore have the same names and mean the same.
local prefix = KEYS[1]
local router, arms, buckets, open = prefix .. 'router', prefix .. 'arms', prefix .. 'buckets', prefix .. 'open'

local function exact(number)
  return string.format('%.17g', number)
end

local function add(place, decided, rewarded, total, squares)
  local d, r, t, s = 0, 0, 0, 0
  local kept = redis.call('HGET', buckets, place)
  if kept then
    d, r, t, s = string.match(kept, '(%S+) (%S+) (%S+) (%S+)')
  end
  redis.call('HSET', buckets, place, exact(d + decided) .. ' ' .. exact(r + rewarded) .. ' '
    .. exact(t + total) .. ' ' .. exact(s + squares))
end

local function learn(place, value)
  add(place, 0, 1, value, value * value)
end

local function finish(nonce)
  local key = prefix .. 'episode:' .. nonce
  local kept = redis.call('HMGET', key, 'place', 'fold', 'rewards', 'total', 'last', 'least', 'greatest')
  redis.call('ZREM', open, nonce)
  if not kept[1] then
    return
  end
  local value = tonumber(kept[4])
  if kept[2] == 'mean' then
    value = value / tonumber(kept[3])
  elseif kept[2] == 'last' then
    value = tonumber(kept[5])
  end
  local least, greatest = tonumber(kept[6]), tonumber(kept[7])
  if least and greatest then
    value = math.min(math.max(value, least), greatest)
  end
  redis.call('HSET', key, 'ended', 1)
  learn(kept[1], value)
end

local function record(nonce, place, value, now, expires, episode, part, told, done, fold, quiet, least, greatest)
  if redis.call('HEXISTS', router, 'frozen') == 1 then
    return 'frozen'
  end
  local alone, key, parts = prefix .. 'alone:' .. nonce, prefix .. 'episode:' .. nonce, prefix .. 'parts:' .. nonce
  local left = math.max(1, expires - now)
  local known = redis.call('HGET', key, 'ended')
  if episode == '0' and not known then
    if not redis.call('SET', alone, value, 'NX', 'PX', left) then
      return 'repeated'
    end
    learn(place, tonumber(value))
    return 'learned'
  end
  local ended = known == '1'
  if not known then
    -- A reward that its first decision had alone was the episode's, so it is taken back.
    local first = redis.call('GET', alone)
    local rewards, total = 0, '0'
    if first then
      rewards, total = 1, first
      redis.call('DEL', alone)
      redis.call('SADD', parts, nonce)
      local number = tonumber(first)
      add(place, 0, -1, -number, -number * number)
    end
    redis.call('HSET', key, 'place', place, 'rewards', rewards, 'total', total, 'last', total, 'ended', 0)
  end
  -- The first decision's own id names the episode too.
  if episode == '0' then
    part = nonce
  end
  if redis.call('SISMEMBER', parts, part) == 1 or (ended and done == '1' and told == '0') then
    return 'repeated'
  end
  if ended then
    return 'late'
  end
  redis.call('SADD', parts, part)
  redis.call('PEXPIRE', parts, 2 * quiet)
  redis.call('HINCRBY', key, 'rewards', 1)
  local total = tonumber(redis.call('HGET', key, 'total')) + tonumber(value)
  redis.call('HSET', key, 'total', exact(total), 'last', value, 'fold', fold, 'least', least, 'greatest', greatest)
  redis.call('PEXPIRE', key, left + 2 * quiet)
  if done == '1' then
    finish(nonce)
    return 'learned'
  end
  redis.call('ZADD', open, now, nonce)
  return 'kept'
end

local function state(key, epoch)
  redis.call('HSETNX', router, 'key', key)
  redis.call('HSETNX', router, 'epoch', epoch)
  return {redis.call('HGETALL', router), redis.call('HGETALL', buckets)}
end

local command = ARGV[1]
if command == 'record' then
  return record(ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9], ARGV[10],
    ARGV[11], tonumber(ARGV[12]), ARGV[13], ARGV[14])
elseif command == 'read' then
  return state(ARGV[2], ARGV[3])
elseif command == 'serve' then
  -- key, epoch, now, the time before which models are forgotten, then tag and name of each arm
  local served = {}
  for index = 6, #ARGV do
    redis.call('HSET', arms, ARGV[index], ARGV[4])
  end
  local kept = redis.call('HGETALL', arms)
  for index = 1, #kept, 2 do
    if tonumber(kept[index + 1]) < tonumber(ARGV[5]) then
      redis.call('HDEL', arms, kept[index])
    else
      served[kept[index]] = true
    end
  end
  for _, place in ipairs(redis.call('HKEYS', buckets)) do
    if not served[string.match(place, '^%d+')] then
      redis.call('HDEL', buckets, place)
    end
  end
  return state(ARGV[2], ARGV[3])
elseif command == 'count' then
  -- batch, how long it is remembered, then place and number of each
  if redis.call('HEXISTS', router, 'frozen') == 0
    and redis.call('SET', prefix .. 'batch:' .. ARGV[2], 1, 'NX', 'PX', ARGV[3]) then
    for index = 4, #ARGV, 2 do
      add(ARGV[index], tonumber(ARGV[index + 1]), 0, 0, 0)
    end
  end
elseif command == 'finish' then
  -- the time before which an episode is overdue
  if redis.call('HEXISTS', router, 'frozen') == 0 then
    for _, nonce in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', '(' .. ARGV[2], 'LIMIT', 0, 1000)) do
      finish(nonce)
    end
  end
elseif command == 'merge' then
  -- pairs of places: from, to
  for index = 2, #ARGV, 2 do
    local kept = redis.call('HGET', buckets, ARGV[index])
    if kept then
      redis.call('HDEL', buckets, ARGV[index])
      add(ARGV[index + 1], string.match(kept, '(%S+) (%S+) (%S+) (%S+)'))
    end
  end
elseif command == 'pin' then
  -- episode, pin, for how long
  local key = prefix .. 'pin:' .. ARGV[2]
  local kept = redis.call('GET', key)
  if not kept then
    redis.call('SET', key, ARGV[3], 'PX', ARGV[4])
  end
  return {kept or ARGV[3], kept and 0 or 1}
elseif command == 'pinned' then
  return redis.call('GET', prefix .. 'pin:' .. ARGV[2])
elseif command == 'freeze' then
  if ARGV[2] == '' then
    redis.call('HDEL', router, 'frozen')
  else
    redis.call('HSETNX', router, 'frozen', ARGV[2])
  end
elseif command == 'restore' then
  -- key, epoch, frozen, now, number of arms, their tags, then place and bucket of each
  if redis.call('EXISTS', buckets) == 1 then
    return 0
  end
  redis.call('HSETNX', router, 'key', ARGV[2])
  redis.call('HSET', router, 'epoch', ARGV[3])
  if ARGV[4] ~= '' then
    redis.call('HSET', router, 'frozen', ARGV[4])
  end
  local first = 7 + ARGV[6]
  for index = 7, first - 1 do
    redis.call('HSET', arms, ARGV[index], ARGV[5])
  end
  for index = first, #ARGV, 2 do
    redis.call('HSET', buckets, ARGV[index], ARGV[index + 1])
  end
  return 1
end

-- All operations on the state that the nodes share. Redis executes one at a time.
--
-- chat:nodes             the leases of the nodes, with the time in milliseconds at which each one ends
-- chat:users             the keys of all users
-- chat:user:KEY          a user: the lease of its node, its connection, and its name
-- chat:names             the key of the user who has a name, for each of the two skeletons of the name
-- chat:rooms             the rooms that have users
-- chat:permanent         the rooms that keep their history without users
-- chat:members:ROOM      the users in a room: key and name
-- chat:history:ROOM      the last messages of a room, and in chat:history-bytes:ROOM their size
-- chat:previous:ROOM     the number of the last message
-- chat:sent:KEY:REF      the number of a message that a user has sent, so that it is stored once although it is sent twice
-- chat:number            the number of the last change
-- chat:changes           the users who joined or left, by number: the kind, room, name, number, how many users are in the room then, and
--                        the number of the last message
-- chat:run               changes when all of these are lost
--
-- All keys expire if no node renews them. The first argument of an operation is the lease of the node.

local call = redis.call
local PRESENCE_SECONDS = 3600      -- without any node
local HISTORY_SECONDS = 86400      -- after the last message
local EMPTY_ROOM_SECONDS = 60      -- a user whose node has failed can be back by then
local SENT_SECONDS = 3600
local MAX_CHANGES = 10000          -- more than in the time of a lease

local function micros()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

local function last_number() return call('GET', 'chat:number') or '0' end

-- Numbers contain the time, so that they also increase after Redis has lost or forgotten data.
local function next_number()
  local number = string.format('%.0f', math.max(micros(), last_number() + 1))
  call('SET', 'chat:number', number)
  return number
end

local function members(room) return 'chat:members:' .. room end

local function expire_history(room, seconds)
  for _, kind in ipairs({'history', 'history-bytes', 'previous'}) do
    call('EXPIRE', 'chat:' .. kind .. ':' .. room, seconds)
  end
end

local function add_change(kind, room, name)
  local number, users = next_number(), string.format('%.0f', call('HLEN', members(room)))
  local previous = call('GET', 'chat:previous:' .. room) or '0'
  call('ZADD', 'chat:changes', number, cjson.encode({kind, room, name, number, users, previous}))
  call('ZREMRANGEBYRANK', 'chat:changes', 0, -MAX_CHANGES - 1)
end

local function join(key, name, room)
  if call('HSETNX', members(room), key, name) == 0 then return end
  call('SADD', 'chat:rooms', room)
  call('EXPIRE', members(room), PRESENCE_SECONDS)
  expire_history(room, HISTORY_SECONDS)
  add_change('user-joined', room, name)
end

local function leave(key, room)
  local name = call('HGET', members(room), key)
  if not name then return end
  call('HDEL', members(room), key)
  if call('HLEN', members(room)) == 0 then
    call('SREM', 'chat:rooms', room)
    if call('SISMEMBER', 'chat:permanent', room) == 0 then expire_history(room, EMPTY_ROOM_SECONDS) end
  end
  add_change('user-left', room, name)
end

local function remove(key)
  for _, room in ipairs(call('SMEMBERS', 'chat:rooms')) do leave(key, room) end
  local user = 'chat:user:' .. key
  for _, field in ipairs({'name1', 'name2'}) do
    local name = call('HGET', user, field)
    if name then call('HDEL', 'chat:names', name) end
  end
  call('DEL', user)
  call('SREM', 'chat:users', key)
end

-- Removes the users whose node has not renewed its lease.
local function remove_lost()
  call('ZREMRANGEBYSCORE', 'chat:nodes', '-inf', '(' .. string.format('%.0f', micros() / 1000))
  for _, key in ipairs(call('SMEMBERS', 'chat:users')) do
    local lease = call('HGET', 'chat:user:' .. key, 'lease')
    if not (lease and call('ZSCORE', 'chat:nodes', lease)) then remove(key) end
  end
end

local function extend(lease, millis)
  call('ZADD', 'chat:nodes', string.format('%.0f', micros() / 1000 + millis), lease)
end

local function rooms()
  local list = {}
  for _, room in ipairs(call('SMEMBERS', 'chat:rooms')) do
    table.insert(list, {room, tostring(call('HLEN', members(room)))})
  end
  return list
end

local function is_on(connection, key) return call('HGET', 'chat:user:' .. key, 'connection') == connection end

local operations = {}

-- Begins a lease. Returns the run, which is the given one if there is none, and the number of the last change.
function operations.register(lease, millis, run, ...)
  extend(lease, millis)
  call('SADD', 'chat:permanent', ...)
  call('SETNX', 'chat:run', run)
  return {call('GET', 'chat:run'), last_number()}
end

-- Keeps the users of a lease. Returns those of the given connections whose users have another one now, and those whose users are gone: they
-- have left on another connection, or Redis has evicted them.
function operations.renew(lease, millis, ...)
  extend(lease, millis)
  local replaced, gone, given = {}, {}, {...}
  remove_lost()
  for index = 1, #given, 2 do
    local connection, key = given[index], given[index + 1]
    local is_known = call('EXPIRE', 'chat:user:' .. key, PRESENCE_SECONDS) == 1
    if not is_on(connection, key) then table.insert(is_known and replaced or gone, connection) end
  end
  for _, kind in ipairs({'nodes', 'users', 'names', 'rooms', 'changes'}) do call('EXPIRE', 'chat:' .. kind, PRESENCE_SECONDS) end
  for _, kind in ipairs({'permanent', 'number', 'run'}) do call('EXPIRE', 'chat:' .. kind, HISTORY_SECONDS) end
  for _, room in ipairs(call('SMEMBERS', 'chat:rooms')) do call('EXPIRE', members(room), PRESENCE_SECONDS) end
  return {replaced, gone}
end

-- Stores a user, who is in exactly the given rooms. A 'new' connection replaces the one that has the same key. One that was there 'before'
-- does not.
function operations.enter(lease, when, connection, key, name, name1, name2, max_users, ...)
  local user, wanted = 'chat:user:' .. key, {}
  local known = call('HGET', user, 'connection')
  if known and known ~= connection and when == 'before' then return redis.error_reply('REPLACED by another connection') end
  for _, skeleton in ipairs({name1, name2}) do
    local owner = call('HGET', 'chat:names', skeleton)
    if owner and owner ~= key then return redis.error_reply('TAKEN by another user') end
  end
  if known and known ~= connection then remove(key) end
  if call('SISMEMBER', 'chat:users', key) == 0 and call('SCARD', 'chat:users') >= tonumber(max_users) then
    return redis.error_reply('FULL of users')
  end
  call('HSET', user, 'lease', lease, 'connection', connection, 'name', name, 'name1', name1, 'name2', name2)
  call('EXPIRE', user, PRESENCE_SECONDS)
  call('HSET', 'chat:names', name1, key, name2, key)
  call('SADD', 'chat:users', key)
  for _, room in ipairs({...}) do
    wanted[room] = true
    join(key, name, room)
  end
  for _, room in ipairs(call('SMEMBERS', 'chat:rooms')) do
    if not wanted[room] then leave(key, room) end
  end
  return {last_number(), rooms()}
end

-- Adds a user to a room, unless the user is in it already. Returns what the room consists of.
function operations.join(lease, connection, key, room, max_rooms, max_rooms_of_user)
  if not is_on(connection, key) then return redis.error_reply('REPLACED by another connection') end
  local list, of_user = call('SMEMBERS', 'chat:rooms'), 0
  for _, other in ipairs(list) do of_user = of_user + call('HEXISTS', members(other), key) end
  if call('HEXISTS', members(room), key) == 0 then
    if of_user >= tonumber(max_rooms_of_user) then return redis.error_reply('ROOMS of the user are too many') end
    local is_known = call('SISMEMBER', 'chat:rooms', room) + call('SISMEMBER', 'chat:permanent', room) > 0
    if not is_known and #list >= tonumber(max_rooms) then return redis.error_reply('ALLROOMS are too many') end
    join(key, call('HGET', 'chat:user:' .. key, 'name'), room)
  end
  return {last_number(), call('HVALS', members(room)), call('LRANGE', 'chat:history:' .. room, 0, -1)}
end

function operations.leave(lease, connection, key, room)
  if is_on(connection, key) then leave(key, room) end
end

function operations.remove(lease, connection, key)
  if is_on(connection, key) then remove(key) end
end

-- Returns the changes with higher numbers.
function operations.changes(lease, number) return call('ZRANGEBYSCORE', 'chat:changes', '(' .. number, '+inf') end

-- Numbers and stores a message, unless it is stored already. `fields` is the event without its first brace. Returns the whole event.
function operations.send(lease, key, reference, room, fields, max_messages, max_bytes)
  local sent, history = 'chat:sent:' .. key .. ':' .. reference, 'chat:history:' .. room
  local previous, bytes_key = 'chat:previous:' .. room, 'chat:history-bytes:' .. room
  local known = call('GET', sent)
  if known then return '{' .. known .. ',' .. fields end
  local number = next_number()
  local before, time = call('GET', previous) or '0', micros() / 1000
  -- A page can receive the message before its node has noticed that the run is another one.
  local numbers = string.format('"id":%s,"prev":%s,"run":"%s","time":%.0f', number, before, call('GET', 'chat:run') or '', time)
  call('SET', sent, numbers, 'EX', SENT_SECONDS)
  call('SET', previous, number)
  local event = '{' .. numbers .. ',' .. fields
  call('RPUSH', history, event)
  local bytes = call('INCRBY', bytes_key, #event)
  while call('LLEN', history) > tonumber(max_messages) or bytes > tonumber(max_bytes) do
    local oldest = call('LPOP', history)
    if not oldest then break end
    bytes = call('DECRBY', bytes_key, #oldest)
  end
  expire_history(room, HISTORY_SECONDS)
  return event
end

local name, lease = ARGV[1], ARGV[2]
if name ~= 'register' and not call('ZSCORE', 'chat:nodes', lease) then return redis.error_reply('LEASE has ended') end
return operations[name](unpack(ARGV, 2))

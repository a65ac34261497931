"""The work queue's steps in Lua: each happens as a whole or not at all, whatever else goes on.

They are sent in full each time (EVAL): nothing to register, nothing that is gone after a restart of Redis.
``KEYS`` and ``ARGV`` are listed above each; ``group`` is the stream's consumer group.
"""

# KEYS stream, delayed, known ids… · ARGV most that may wait, each id's job… · → for each 1 new, 0 known, -1 full
ENQUEUE = """
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1]) - redis.call('ZCARD', KEYS[2])
local answers = {}
for i = 3, #KEYS do
  local answer = 0
  if redis.call('EXISTS', KEYS[i]) == 0 then
    answer = -1
    if room > 0 then
      redis.call('XADD', KEYS[1], '*', 'job', ARGV[i - 1])
      redis.call('SET', KEYS[i], 'live')
      room, answer = room - 1, 1
    end
  end
  answers[#answers + 1] = answer
end
return answers
"""

# KEYS delayed, stream · ARGV now, limit · → when the next one is due, or nil
PROMOTE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, job in ipairs(due) do
  redis.call('XADD', KEYS[2], '*', 'job', job)
  redis.call('ZREM', KEYS[1], job)
end
return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
"""

# KEYS stream · ARGV group, worker, idle ms, cursor, limit · → {next cursor, {entry, job, times handed out}, …}
RECLAIM = """
local found = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
local claims = {found[1]}
for _, entry in ipairs(found[2]) do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
  claims[#claims + 1] = {entry[1], entry[2][2], pending[1][4]}
end
return claims
"""

# KEYS stream · ARGV group, worker, entries…
EXTEND = """
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  end
end
"""

# KEYS stream, known ids… · ARGV group, retention ms, each id's entry… · → for each 1 if it was there
DONE = """
local there = {}
for i = 2, #KEYS do
  local entry = ARGV[i + 1]
  redis.call('SET', KEYS[i], 'done', 'PX', ARGV[2])
  there[i - 1] = redis.call('XACK', KEYS[1], ARGV[1], entry)
  redis.call('XDEL', KEYS[1], entry)
end
return there
"""

_LET_GO = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then return 0 end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
"""

# KEYS stream, delayed · ARGV group, worker, entry, job, due · → 1, or 0 when the claim is another's
PUT_BACK = _LET_GO + "redis.call('ZADD', KEYS[2], ARGV[5], ARGV[4]) return 1"

# KEYS stream, dead · ARGV group, worker, entry, dead letter · → 1, or 0 when the claim is another's
BURY = _LET_GO + "redis.call('XADD', KEYS[2], '*', 'letter', ARGV[4]) return 1"

# KEYS stream · ARGV group, worker · → how many jobs it gave back
LEAVE = """
local given = 0
repeat
  local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 100, ARGV[2])
  for _, pending in ipairs(held) do
    local entry = redis.call('XRANGE', KEYS[1], pending[1], pending[1])[1]
    if entry then
      redis.call('XADD', KEYS[1], '*', unpack(entry[2]))
      given = given + 1
    end
    redis.call('XACK', KEYS[1], ARGV[1], pending[1])
    redis.call('XDEL', KEYS[1], pending[1])
  end
until #held == 0
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return given
"""

# KEYS stream · ARGV group, idle ms: workers that crashed leave their names behind, one for each start
FORGET_WORKERS = """
for _, worker in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local name, pending, idle = worker[2], worker[4], worker[6]
  if pending == 0 and idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
  end
end
"""

# KEYS dead, stream, delayed · ARGV entry, job, most that may wait · → 1, 0 when it is gone, -1 full
REPLAY = """
if redis.call('XLEN', KEYS[2]) + redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then return -1 end
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'job', ARGV[2])
return 1
"""

# KEYS dead, known id · ARGV entry · → 1, or 0 when it is gone
PURGE = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('DEL', KEYS[2])
return 1
"""

# KEYS stream, delayed, dead · ARGV group · → waiting, running, delayed, dead
SIZES = """
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local running = pending.err and 0 or pending[1]
return {redis.call('XLEN', KEYS[1]) - running, running, redis.call('ZCARD', KEYS[2]), redis.call('XLEN', KEYS[3])}
"""

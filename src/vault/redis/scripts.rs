//! What Redis does in one step: Lua scripts, each atomic (<https://redis.io/docs/latest/develop/programmability/eval-intro/>). A record is one
//! string, `version expires sealed`, which Redis itself lets expire; beside it, for each table, a sorted set of its keys in the order of
//! their bytes, and one of those that expire, by when, from which later writes clear the former.

/// Before all names of this vault in the database.
pub(crate) const PREFIX: &str = "mgw:";
/// The channel on which changes are told.
pub(crate) const CHANNEL: &str = "mgw:changes";
/// Holds the schema's version.
pub(crate) const SCHEMA: &str = "mgw:schema";
/// Counts writes: the versions.
pub(crate) const VERSIONS: &str = "mgw:versions";

/// The version that is there. Reads no more than it needs. Numbers are told as text: a float loses nothing below 2^53, but prints with
/// fourteen digits.
macro_rules! found {
    () => {
        "local found = string.match(redis.call('GETRANGE', KEYS[1], 0, 40), '^(%d+) ') "
    };
}

/// Tells the gateways, where there is something to tell.
macro_rules! tell {
    ($message:literal) => {
        concat!("if ", $message, " ~= '' then redis.call('PUBLISH', 'mgw:changes', ", $message, ") end ")
    };
}

/// KEYS: record, index, expiry, versions. ARGV: key, sealed, lifetime (0: none), expected (-1: any, 0: none), message, prefix of records.
/// The new version, or nothing for a conflict. What is written with it, if anything: KEYS 5 to 7 are its record, index and expiry, ARGV 7 to 9
/// its key, sealed and lifetime.
pub(crate) const PUT: &str = concat!(
    found!(),
    "
    if ARGV[4] == '0' then
        if found then return '' end
    elseif ARGV[4] ~= '-1' and found ~= ARGV[4] then
        return ''
    end
    local clock = redis.call('TIME')
    local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
    local version = string.format('%.0f', redis.call('INCR', KEYS[4]))
    if ARGV[3] == '0' then
        redis.call('SET', KEYS[1], version .. ' 0 ' .. ARGV[2])
        redis.call('ZREM', KEYS[3], ARGV[1])
    else
        local expires = string.format('%.0f', now + ARGV[3])
        redis.call('SET', KEYS[1], version .. ' ' .. expires .. ' ' .. ARGV[2])
        redis.call('PEXPIREAT', KEYS[1], expires)
        redis.call('ZADD', KEYS[3], expires, ARGV[1])
    end
    redis.call('ZADD', KEYS[2], 0, ARGV[1])
    if KEYS[5] then
        local ends = string.format('%.0f', now + ARGV[9])
        local number = string.format('%.0f', redis.call('INCR', KEYS[4]))
        redis.call('SET', KEYS[5], number .. ' ' .. ends .. ' ' .. ARGV[8])
        redis.call('PEXPIREAT', KEYS[5], ends)
        redis.call('ZADD', KEYS[7], ends, ARGV[7])
        redis.call('ZADD', KEYS[6], 0, ARGV[7])
    end
    local stale = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now), 'LIMIT', 0, 20)
    for _, key in ipairs(stale) do
        if redis.call('EXISTS', ARGV[6] .. key) == 0 then
            redis.call('ZREM', KEYS[2], key)
            redis.call('ZREM', KEYS[3], key)
        end
    end
    ",
    tell!("ARGV[5]"),
    "return version"
);

/// KEYS as PUT. ARGV: key, expected, message. What was there, if it was what is expected. Removes first: a server whose memory is full lets
/// that pass, and then what follows.
pub(crate) const TAKE: &str = concat!(
    found!(),
    "
    if not found or (ARGV[2] ~= '-1' and found ~= ARGV[2]) then return false end
    local taken = redis.call('GET', KEYS[1])
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('INCR', KEYS[4])
    ",
    tell!("ARGV[3]"),
    "return taken"
);

/// KEYS: record. ARGV: version, sealed. Other bytes for the same record; 1 if it was still that.
pub(crate) const REPLACE: &str = concat!(
    found!(),
    "
    if found ~= ARGV[1] then return 0 end
    local expires = string.match(redis.call('GETRANGE', KEYS[1], 0, 40), '^%d+ (%d+) ')
    redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. expires .. ' ' .. ARGV[2], 'KEEPTTL')
    return 1"
);

/// KEYS: index. ARGV: from, until (as ZRANGEBYLEX writes them), how many, prefix of records. Keys and records in turn.
pub(crate) const LIST: &str = "
    local rows, from, wanted = {}, ARGV[1], tonumber(ARGV[3])
    while #rows < 2 * wanted do
        local keys = redis.call('ZRANGEBYLEX', KEYS[1], from, ARGV[2], 'LIMIT', 0, wanted)
        for _, key in ipairs(keys) do
            local row = redis.call('GET', ARGV[4] .. key)
            if row and #rows < 2 * wanted then
                rows[#rows + 1] = key
                rows[#rows + 1] = row
            end
        end
        if #keys < wanted then break end
        from = '(' .. keys[#keys]
    end
    return rows";

/// KEYS: index, expiry. ARGV: from, until, prefix of records. How many are there: those of the index less those that are gone from it.
pub(crate) const COUNT: &str = "
    local clock = redis.call('TIME')
    local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
    local gone = 0
    for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
        local first = string.sub(ARGV[1], 2)
        local last = string.sub(ARGV[2], 2)
        local after = ARGV[1] == '-' or key >= first
        local before = ARGV[2] == '+' or key < last
        if after and before and redis.call('EXISTS', ARGV[3] .. key) == 0 then gone = gone + 1 end
    end
    return redis.call('ZLEXCOUNT', KEYS[1], ARGV[1], ARGV[2]) - gone";

import type { Redis } from 'ioredis';
import { LISTED, RENAMED, videoKeys } from './catalog-keys.ts';

/** A change of one video. All values are JSON texts: the script compares and stores them, and never parses them. */
export interface VideoChange {
  /** Id of this call. A command that is sent again after a lost connection finds its own id and is not refused by its own effect. */
  call: string;
  now: string;
  /** Only when this is the video's run. */
  run?: string;
  /** Only when the video has one of these statuses. */
  from?: string[];
  /** Only while these fields are as given; '' where there is none. */
  was?: Record<string, string>;
  create?: boolean;
  /** Only while this upload is marked as under way; it is accepted with this. */
  begun?: string;
  /** What was accepted before, and nobody needs after this: marked as to be removed. */
  left?: string;
  remove?: boolean;
  /** Counts `run` up and forgets the progress of shards. */
  newRun?: boolean;
  set?: Record<string, string>;
  unset?: string[];
}
/** Fields and values in turn: those of the video and those of its progress. */
export type VideoReply = [fields: string[], progress: string[]];

interface Scripts {
  cuepointChangeVideo(...args: string[]): Promise<VideoReply | null>;
  cuepointReadVideos(...args: (string | number)[]): Promise<VideoReply[]>;
  cuepointReadNames(...args: (string | number)[]): Promise<(string | null)[][]>;
  cuepointReportProgress(...args: string[]): Promise<number>;
  cuepointClaim(...args: string[]): Promise<string>;
  cuepointKeepClaim(...args: string[]): Promise<number>;
  cuepointFinishClaim(...args: string[]): Promise<number>;
  cuepointReleaseClaim(...args: string[]): Promise<number>;
  cuepointCreateWebhook(...args: string[]): Promise<number>;
  cuepointMarkUpload(...args: string[]): Promise<number>;
  cuepointAbandonedUploads(...args: string[]): Promise<string[]>;
  cuepointCreateDelivery(...args: string[]): Promise<number>;
  cuepointRecordAttempt(...args: string[]): Promise<number>;
}
export type ScriptedRedis = Redis & Scripts;

/**
 * KEYS: videoKeys(). ARGV: VideoChange, video id, member of `unfinished`, channel.
 * Nil when there is no such video or a guard refuses.
 */
const changeVideo = `
local change = cjson.decode(ARGV[1])
local id, member, channel = ARGV[2], ARGV[3], ARGV[4]
local listings = {${LISTED.map((status, index) => `['"${status}"'] = KEYS[${index + 5}]`).join(', ')}}
local uploads = KEYS[${LISTED.length + 6}]
local unfinished = {['"queued"'] = true, ['"indexing"'] = true, ['"deleting"'] = true}

local function reply()
  return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])}
end
local function list(status)
  for each, listing in pairs(listings) do
    if each == status then redis.call('ZADD', listing, 0, id) else redis.call('ZREM', listing, id) end
  end
  if listings[status] then redis.call('ZADD', KEYS[4], 0, id) else redis.call('ZREM', KEYS[4], id) end
  if unfinished[status] then redis.call('ZADD', KEYS[3], 0, member) else redis.call('ZREM', KEYS[3], member) end
end

-- Numbers follow the clock, so that they go on where the log was gone in between.
local function renamed()
  local log = KEYS[${LISTED.length + 5}]
  if redis.call('EXISTS', KEYS[4]) == 0 then redis.call('DEL', log) return end
  local time, last = redis.call('TIME'), redis.call('ZRANGE', log, -1, -1, 'WITHSCORES')[2]
  local number = math.max(tonumber(last or 0) + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('ZADD', log, string.format('%.0f', number), id)
  redis.call('ZREMRANGEBYRANK', log, 0, -${RENAMED + 1})
end

local old = redis.call('HMGET', KEYS[1], 'run', 'status', 'call', 'updatedAt')
local run, status, updatedAt = old[1], old[2], old[4]
if change.remove then
  redis.call('DEL', KEYS[1], KEYS[2])
  list(nil)
  renamed()
  redis.call('PUBLISH', channel, '')
  return nil
end
if status and old[3] == change.call then return reply() end
if change.create then
  if status then return nil end
else
  if not status or status == '"deleting"' then return nil end
  if change.run and run ~= change.run then return nil end
  if change.from then
    local allowed = false
    for _, each in ipairs(change.from) do allowed = allowed or each == status end
    if not allowed then return nil end
  end
  for field, value in pairs(change.was or {}) do
    if (redis.call('HGET', KEYS[1], field) or '') ~= value then return nil end
  end
end

if change.begun then
  local mark = redis.call('ZSCORE', uploads, change.begun)
  -- What an upload left that was given up is being removed, or gone.
  if not mark or mark == 'inf' then return nil end
  redis.call('ZREM', uploads, change.begun)
end
if change.left then redis.call('ZADD', uploads, '+inf', change.left) end

local set = change.set or {}
if change.newRun then
  set.run = string.format('%d', tonumber(run) + 1)
  redis.call('DEL', KEYS[2])
end
set.call = change.call
set.updatedAt = change.now
-- Clocks of machines differ; a video's own time goes forward only.
if updatedAt and tonumber(updatedAt) > tonumber(change.now) then set.updatedAt = updatedAt end
for field, value in pairs(set) do redis.call('HSET', KEYS[1], field, value) end
for _, field in ipairs(change.unset or {}) do redis.call('HDEL', KEYS[1], field) end
if set.status and set.status ~= status then list(set.status) end
if change.create or set.title or set.metadata or set.media or set.status == '"deleting"' then renamed() end
redis.call('PUBLISH', channel, '')
return reply()`;

/** KEYS: video and progress, in turn. A video that is gone is two empty lists. */
const readVideos = `
local videos = {}
for index = 1, #KEYS, 2 do
  videos[#videos + 1] = {redis.call('HGETALL', KEYS[index]), redis.call('HGETALL', KEYS[index + 1])}
end
return videos`;

/** KEYS: videos. Their status, title, metadata, time of creation and media. */
const readNames = `
local names = {}
for index = 1, #KEYS do
  names[index] = redis.call('HMGET', KEYS[index], 'status', 'title', 'metadata', 'createdAt', 'media')
end
return names`;

/** KEYS: video, progress. ARGV: run, shard's field, ms done, now, channel. */
const reportProgress = `
local video = redis.call('HMGET', KEYS[1], 'run', 'status', 'updatedAt')
local run, status = video[1], video[2]
if not status or run ~= ARGV[1] or status == '"cancelled"' or status == '"deleting"' then return 0 end
local done = redis.call('HGET', KEYS[2], ARGV[2])
if not done or tonumber(ARGV[3]) > tonumber(done) then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
  if tonumber(ARGV[4]) > tonumber(video[3]) then redis.call('HSET', KEYS[1], 'updatedAt', ARGV[4]) end
  redis.call('PUBLISH', ARGV[5], '')
end
return 1`;

/** KEYS: claim. ARGV: fingerprint, token, ms. */
const claim = `
local old = redis.call('HMGET', KEYS[1], 'fingerprint', 'token', 'videoId')
if not old[1] then
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'token', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 'new'
end
if old[1] ~= ARGV[1] then return 'mismatch' end
if old[3] then return 'done:' .. old[3] end
if old[2] == ARGV[2] then return 'new' end
return 'in_progress'`;

/** KEYS: claim. ARGV: token, ms. */
const keepClaim = `
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] or redis.call('HEXISTS', KEYS[1], 'videoId') == 1 then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`;

/** KEYS: claim. ARGV: video id, ms, fingerprint or '' (a claim that ran out is written anew when it is known). */
const finishClaim = `
if redis.call('HEXISTS', KEYS[1], 'videoId') == 1 then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[3] == '' then return 0 end
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[3])
end
redis.call('HSET', KEYS[1], 'videoId', ARGV[1])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`;

/** KEYS: claim. ARGV: token or '' (whoever holds it). */
const releaseClaim = `
if redis.call('HEXISTS', KEYS[1], 'videoId') == 1 then return 0 end
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`;

/** KEYS: webhook, set of such webhooks. ARGV: webhook, its id, how many there may be. */
const createWebhook = `
if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 0 and redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 0 end
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1])
return 1`;

/** KEYS: uploads. ARGV: member, `new` or `kept`. By one clock, that of Redis. */
const markUpload = `
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score == 'inf' or (not score and ARGV[2] ~= 'new') then return 0 end
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
return 1`;

/** KEYS: uploads. ARGV: seconds of silence. A hundred at a time. */
const abandonedUploads = `
local before = string.format('%.0f', tonumber(redis.call('TIME')[1]) - tonumber(ARGV[1]))
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', before, 'BYSCORE')) do
  redis.call('ZADD', KEYS[1], '+inf', member)
end
return redis.call('ZRANGE', KEYS[1], '+inf', '+inf', 'BYSCORE', 'LIMIT', 0, 100)`;

/**
 * KEYS: webhook, delivery, deliveries of the webhook, deliveries about the video.
 * ARGV: delivery, state, attempts, created at, oldest to keep, seconds to keep, delivery id, webhook id.
 */
const createDelivery = `
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('HSET', KEYS[2], 'delivery', ARGV[1], 'state', ARGV[2], 'attempts', ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[7])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[5])
redis.call('EXPIRE', KEYS[3], ARGV[6])
redis.call('SADD', KEYS[4], ARGV[8] .. ':' .. ARGV[7])
redis.call('EXPIRE', KEYS[4], ARGV[6])
return 1`;

/** KEYS: delivery. ARGV: attempt, state. The same attempt twice in a row is a command sent again after a lost connection. */
const recordAttempt = `
local attempts = redis.call('HGET', KEYS[1], 'attempts')
if not attempts then return 0 end
if string.sub(attempts, -#ARGV[1]) ~= ARGV[1] then
  if attempts ~= '' then attempts = attempts .. ',' end
  redis.call('HSET', KEYS[1], 'attempts', attempts .. ARGV[1])
end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
return 1`;

/** Teaches a connection the catalog's scripts. */
export function withScripts(redis: Redis): ScriptedRedis {
  const changeVideoKeys = videoKeys('', '').length;
  redis.defineCommand('cuepointChangeVideo', { lua: changeVideo, numberOfKeys: changeVideoKeys });
  redis.defineCommand('cuepointReadVideos', { lua: readVideos });
  redis.defineCommand('cuepointReadNames', { lua: readNames });
  redis.defineCommand('cuepointReportProgress', { lua: reportProgress, numberOfKeys: 2 });
  redis.defineCommand('cuepointClaim', { lua: claim, numberOfKeys: 1 });
  redis.defineCommand('cuepointKeepClaim', { lua: keepClaim, numberOfKeys: 1 });
  redis.defineCommand('cuepointFinishClaim', { lua: finishClaim, numberOfKeys: 1 });
  redis.defineCommand('cuepointReleaseClaim', { lua: releaseClaim, numberOfKeys: 1 });
  redis.defineCommand('cuepointCreateWebhook', { lua: createWebhook, numberOfKeys: 2 });
  redis.defineCommand('cuepointMarkUpload', { lua: markUpload, numberOfKeys: 1 });
  redis.defineCommand('cuepointAbandonedUploads', { lua: abandonedUploads, numberOfKeys: 1 });
  redis.defineCommand('cuepointCreateDelivery', { lua: createDelivery, numberOfKeys: 4 });
  redis.defineCommand('cuepointRecordAttempt', { lua: recordAttempt, numberOfKeys: 1 });
  return redis as ScriptedRedis;
}

/** Who a video belongs to; every key maps to one; nothing crosses tenants. `default` in the embedded shape. */
export type Tenant = string;

export const STAGES = ['probe', 'frames', 'speech', 'finalize'] as const;
export type StageName = (typeof STAGES)[number];

/** queued → indexing → ready | failed | cancelled; `deleting` hides a video while its data are removed. */
export type VideoStatus = 'queued' | 'indexing' | 'ready' | 'failed' | 'cancelled' | 'deleting';
export const TERMINAL: readonly VideoStatus[] = ['ready', 'failed', 'cancelled'];

/** What a person calls a video and says of it, and what else videos are told apart by. */
export type VideoName = Pick<Video, 'title' | 'metadata' | 'createdAt'> &
  Partial<Pick<NonNullable<Video['media']>, 'durationMs' | 'recordedAt'>>;

export interface Problem {
  code: string;
  message: string;
}
export interface Stage {
  state: 'waiting' | 'active' | 'done' | 'failed' | 'skipped';
  /** Milliseconds of media done and to do, over all shards. */
  doneMs: number;
  totalMs: number;
  error?: Problem;
}
/** Which video and which run of indexing it: `retry` and `reindex` start a new run, and jobs of an older one stop by themselves. */
export interface VideoRef {
  tenant: Tenant;
  videoId: string;
  run: number;
}
/** One uploaded media file and everything known of it. Times in ms since the epoch, media times in ms. */
export interface Video {
  /** UUID v7: sorts by time of creation. */
  id: string;
  tenant: Tenant;
  run: number;
  status: VideoStatus;
  title: string;
  /** As the client named it; for display only, never used as a path. */
  filename: string;
  metadata: Record<string, string>;
  /** ISO 639-1 of what is spoken, given by the uploader or detected; passages have their own. */
  language?: string;
  source: {
    kind: 'upload' | 'url';
    /** Address it is taken from (kind `url`). */
    url?: string;
    /** Key of the original in the blob store; absent until it has been fetched. */
    blobKey?: string;
    sizeBytes?: number;
    sha256?: string;
    contentType?: string;
  };
  media?: {
    container: string;
    durationMs: number;
    startMs: number;
    /** By the file itself; ms since the epoch. */
    recordedAt?: number;
    video?: {
      codec: string;
      width: number;
      height: number;
      fps: number;
      rotation: number;
      /** What decoding needs to know: as in MediaInfo of libs/video. */
      stream?: number;
      notFirst?: true;
      interlaced?: true;
      transfer?: 'pq' | 'hlg';
      lateFrames?: number;
      keyframes?: { longestMs: number; averageMs: number };
    };
    audio?: { codec: string; channels: number; sampleRate: number; language?: string };
  };
  /** Whether speech is transcribed: always, where there are no captions (`auto`), or never. Left out: always. */
  transcribe?: Transcribe;
  /** What becomes of speech: written down as it is said, or translated into English. Left out: as it is said. */
  task?: SpeechTask;
  /** Names and terms that the speech holds, for Whisper. */
  prompt?: string;
  /** A caption file that the uploader has given (`captionsKey`); it goes before what is in the video file. Without a language of its own it has the video's. */
  captionsFile?: { sha256: string; language?: string; name?: string };
  /** Captions that are in the index. `broken`: how many were left out because their times make no sense, `readings`: because they are a camera's; left out themselves where none was. */
  captions?: { source: 'upload' | 'embedded'; language?: string; cues: number; broken?: number; readings?: number };
  stages: Record<StageName, Stage>;
  /** What went wrong without failing the whole, in words for the uploader. */
  warnings: Problem[];
  error?: Problem;
  /** Models the index of this video was made with last. `frames`: every model in whose collection the frames of this video are whole. */
  models?: { clip?: string; whisper?: string; profile: string; frames?: string[] };
  /** Set while and since a person had it indexed again: what that run does. Left out: it does all, in place of what was there. */
  reindex?: Reindex;
  counts: { frames: number; passages: number };
  createdAt: number;
  updatedAt: number;
  startedAt?: number;
  finishedAt?: number;
}

/** A model whose collection of frames can be searched, and what to open it by. */
export interface FramesModel {
  id: string;
  dimension: number;
  /** Hub id or folder, as `CLIP_MODEL` takes it. */
  name: string;
  /** It stood in for the model that was asked for: the first worker with another one takes its place. */
  isFallback?: boolean;
}
export interface Reindex {
  /** Frames alone; passages stay as they are. */
  only?: 'frames';
  /** Frames are made with this model beside those of the active one, which stay and are searched meanwhile. */
  beside?: FramesModel;
}

/** Ids of the models in whose collections the frames of a video are whole. */
export function framesModelsOf({ models }: Pick<Video, 'models'>): string[] {
  return models?.frames ?? (models?.clip ? [models.clip] : []);
}
/** Whether a search among the frames of a model misses something of this video: it has frames of other models only, or is not indexed yet. */
export function lacksFramesOf(video: Pick<Video, 'models' | 'status' | 'counts'>, modelId: string): boolean {
  const isUnfinished = video.status === 'queued' || video.status === 'indexing';
  const hasFrames = video.status === 'ready' && video.counts.frames > 0;
  return (isUnfinished || hasFrames) && !framesModelsOf(video).includes(modelId);
}

export const TRANSCRIBE = ['always', 'auto', 'never'] as const;
export type Transcribe = (typeof TRANSCRIBE)[number];
export const SPEECH_TASKS = ['transcribe', 'translate'] as const;
export type SpeechTask = (typeof SPEECH_TASKS)[number];

/** A tenant's own endpoints. Each hears of each video, so every one more is work for all workers. */
export const MAX_WEBHOOKS = 100;
export type WebhookEvent = 'video.ready' | 'video.failed';
export interface Webhook {
  id: string;
  tenant: Tenant;
  url: string;
  /** Standard Webhooks secret, `whsec_` + base64. */
  secret: string;
  events: WebhookEvent[];
  /** Set for the `webhookUrl` of one upload: it hears of that video only and goes when the video goes. */
  videoId?: string;
  createdAt: number;
}
/** One event for one endpoint, with the log of its tries. `id` is the `webhook-id` of every try. */
export interface Delivery {
  id: string;
  tenant: Tenant;
  webhookId: string;
  videoId: string;
  event: WebhookEvent;
  /** The body, byte for byte as it is signed and sent. */
  payload: string;
  state: 'pending' | 'delivered' | 'failed';
  attempts: { at: number; status?: number; error?: string; durationMs: number }[];
  createdAt: number;
}

/** How far a job is with its shard of a video. */
export interface Progress {
  stage: 'frames' | 'speech';
  shard: number;
  /** Milliseconds of this shard that are done. */
  doneMs: number;
}
/** What a worker says of itself every few seconds; gone 15 s after it died. */
export interface WorkerStatus {
  id: string;
  ready: boolean;
  profile?: string;
  fallbackReason?: string;
  models?: { clip?: string; whisper?: string; text?: string };
  /** What it makes frames with when videos are indexed again. */
  framesModel?: FramesModel;
  device?: string;
  /** While not ready: what it is waiting for. */
  note?: string;
  /** 99th percentile of the event loop's delay since the last pulse. */
  eventLoopP99Ms?: number;
  rssBytes?: number;
}

import { FlowProducer, Queue } from 'bullmq';
import { connectRedis, isForbidden, newId, type VideoRef } from '#store';
import { type JobPayloads, jobIds, QUEUE_NAMES, QUEUE_PREFIX, type QueueName, type Shard } from './queues.ts';
import { JOB_OPTIONS } from './retries.ts';

/** What is known of one job. */
export interface JobSummary {
  state: 'waiting' | 'active' | 'completed' | 'failed';
  failedReason?: string;
  finishedAt?: number;
}

interface Opened {
  queues: { [Name in QueueName]: Queue<JobPayloads[Name]> };
  flows: FlowProducer;
}

/** Adds, looks up and removes jobs. Adding a job twice is adding it once: ids are made from video, run, stage and shard. */
export class Jobs {
  readonly #redis;
  readonly #onError: (error: Error) => void;
  #opened: Opened;
  #isRefused = false;

  /** `redisUrl` as in connectRedis. One connection serves all queues; `onError` hears of its troubles (it reconnects by itself). */
  constructor(redisUrl: string, onError: (error: Error) => void = () => {}) {
    this.#redis = connectRedis(redisUrl);
    this.#redis.on('error', onError);
    this.#onError = onError;
    this.#opened = this.#open();
  }

  #open(): Opened {
    const shared = { connection: this.#redis, prefix: QUEUE_PREFIX };
    const heard = (error: Error) => {
      this.#isRefused ||= isForbidden(error);
      this.#onError(error);
    };
    const open = (name: QueueName) => new Queue(name, shared).on('error', heard);
    const flows = new FlowProducer(shared);
    flows.on('error', heard);
    return { queues: Object.fromEntries(QUEUE_NAMES.map((name) => [name, open(name)])) as never, flows };
  }

  /** BullMQ asks for the server's version once: where its user may not (ACL), all it is asked later is refused as well, so it is opened anew. */
  get #current(): Opened {
    if (this.#isRefused) {
      this.#isRefused = false;
      closeAll(this.#opened).catch(() => {});
      this.#opened = this.#open();
    }
    return this.#opened;
  }
  get #queues() {
    return this.#current.queues;
  }

  async addPlan(ref: VideoRef): Promise<void> {
    await this.#queues.plan.add('plan', pick(ref), { ...JOB_OPTIONS.plan, jobId: jobIds.plan(ref) });
  }

  /**
   * finalize as parent, one child a shard and stage, and one for captions; a failed child does not stop its parent. One transaction: the flow is
   * there whole or not at all, so a flow whose parent is there is left alone (adding a child again that has failed would
   * make its parent wait for it for ever).
   */
  async addIndexFlow(ref: VideoRef, shards: { frames: Shard[]; speech: Shard[]; captions?: boolean }): Promise<void> {
    if (await this.#queues.finalize.getJob(jobIds.finalize(ref))) return;
    const child = (stage: 'frames' | 'speech', shard: Shard) => ({
      name: stage,
      queueName: stage,
      data: { ...pick(ref), ...shard },
      opts: {
        ...JOB_OPTIONS[stage],
        jobId: jobIds[stage]({ ...ref, shard: shard.shard }),
        ignoreDependencyOnFailure: true,
      },
    });
    const captions = {
      name: 'captions',
      queueName: 'captions',
      data: pick(ref),
      opts: { ...JOB_OPTIONS.captions, jobId: jobIds.captions(ref), ignoreDependencyOnFailure: true },
    };
    await this.#current.flows.add({
      name: 'finalize',
      queueName: 'finalize',
      data: pick(ref),
      opts: { ...JOB_OPTIONS.finalize, jobId: jobIds.finalize(ref) },
      children: [
        ...(shards.captions ? [captions] : []),
        // Frames and speech of the same minutes next to each other: a worker that does both has the file in its cache.
        ...Array.from({ length: Math.max(shards.frames.length, shards.speech.length) }, (_, index) => [
          ...shards.frames.slice(index, index + 1).map((shard) => child('frames', shard)),
          ...shards.speech.slice(index, index + 1).map((shard) => child('speech', shard)),
        ]).flat(),
      ],
    });
  }

  /**
   * The captions of a video have changed, or will have after `delayMs`: they are indexed anew, in whatever state the video is. The id of the job is for
   * `hastenCaptions`.
   */
  async addCaptions({ tenant, videoId }: { tenant: string; videoId: string }, delay = 0): Promise<string> {
    const jobId = jobIds.captions({ videoId, change: newId() });
    const options = { ...JOB_OPTIONS.captions, jobId, delay, removeOnComplete: true };
    await this.#queues.captions.add('captions', { tenant, videoId }, options);
    return jobId;
  }

  /** Lets such a job that is delayed begin now; where it has begun before the change, another one. */
  async hastenCaptions(video: { tenant: string; videoId: string }, jobId: string): Promise<void> {
    const job = await this.#queues.captions.getJob(jobId);
    const isHastened = await job?.promote().then(
      () => true,
      () => false,
    );
    if (!isHastened) await this.addCaptions(video);
  }

  /** finalize without shards, for a video whose plan has failed for good: it records the failure and sends the event. */
  async addFailure(ref: VideoRef, failure: { code: string; message: string }): Promise<void> {
    const options = { ...JOB_OPTIONS.finalize, jobId: jobIds.finalize(ref) };
    await this.#queues.finalize.add('finalize', { ...pick(ref), failure }, options);
  }

  /** `redelivery` > 0: a redelivery that a person asked for. */
  async addDelivery(delivery: { tenant: string; deliveryId: string }, redelivery = 0): Promise<void> {
    const data = { tenant: delivery.tenant, deliveryId: delivery.deliveryId, redelivery };
    await this.#queues.deliver.add('deliver', data, { ...JOB_OPTIONS.deliver, jobId: jobIds.deliver(data) });
  }

  /** Removes what a deleted or cancelled video has left, after `delayMs`. A clean-up that had given up starts again; one that is there keeps its time. */
  async addCleanup(video: { tenant: string; videoId: string }, delayMs = 0): Promise<void> {
    const data = { tenant: video.tenant, videoId: video.videoId };
    const jobId = jobIds.cleanup(data);
    if ((await this.#queues.cleanup.getJobState(jobId)) === 'failed') await this.#queues.cleanup.remove(jobId);
    await this.#queues.cleanup.add('cleanup', data, { ...JOB_OPTIONS.cleanup, jobId, delay: delayMs });
  }

  /** Lets a clean-up that is delayed begin now. */
  async hastenCleanup(video: { tenant: string; videoId: string }): Promise<void> {
    const job = await this.#queues.cleanup.getJob(jobIds.cleanup(video));
    // A worker may take it in the same moment.
    if (await job?.isDelayed()) await job?.promote().catch(() => {});
  }

  /** Plans a run once more whose jobs are lost: what is left of them goes first. */
  async replan(ref: VideoRef): Promise<void> {
    await this.removeWaiting(ref);
    await this.#queues.finalize.remove(jobIds.finalize(ref));
    // A shard that has failed would be waited for by the new parent, and never come.
    for (const queue of [this.#queues.frames, this.#queues.speech, this.#queues.captions]) {
      const failed = await queue.getFailed();
      await Promise.all(failed.filter((job) => job?.data.videoId === ref.videoId).map((job) => job.remove()));
    }
    await this.#queues.plan.remove(jobIds.plan(ref));
    await this.addPlan(ref);
  }

  /** Lets a finalize that had given up try again. */
  async retryFinalize(ref: VideoRef): Promise<void> {
    const job = await this.#queues.finalize.getJob(jobIds.finalize(ref));
    await job?.retry('failed', { resetAttemptsMade: true });
  }

  async find(queue: 'plan' | 'finalize', ref: VideoRef): Promise<JobSummary | undefined> {
    const job = await this.#queues[queue].getJob(jobIds[queue](ref));
    if (!job) return undefined;
    const state = await job.getState();
    if (state === 'unknown') return undefined;
    const known = state === 'active' || state === 'completed' || state === 'failed' ? state : 'waiting';
    return { state: known, failedReason: job.failedReason, finishedAt: job.finishedOn };
  }

  /** How many jobs of a video workers have in hand, whatever their run. */
  async countActive(videoId: string): Promise<number> {
    const names = ['plan', 'frames', 'speech', 'captions', 'finalize', 'cleanup'] as const;
    const active = await Promise.all(
      names.map((name) => this.#queues[name].getActive() as Promise<{ data: { videoId: string } }[]>),
    );
    return active.flat().filter((job) => job?.data.videoId === videoId).length;
  }

  /**
   * Removes the jobs of a run that nobody works on yet (cancel, delete): waiting, delayed or waiting for children.
   * Running ones stop by themselves, at the next progress they report.
   */
  async removeWaiting(ref: VideoRef): Promise<void> {
    const { plan, finalize } = this.#queues;
    const planState = await plan.getJobState(jobIds.plan(ref));
    if (planState !== 'completed' && planState !== 'failed') await plan.remove(jobIds.plan(ref));
    const parent = await finalize.getJob(jobIds.finalize(ref));
    if (!parent || (await parent.isCompleted()) || (await parent.isFailed())) return;
    await parent.removeUnprocessedChildren();
    // Does nothing while a shard is still running; finalize then runs when that shard has stopped, and finds the run unwanted.
    await finalize.remove(jobIds.finalize(ref));
  }

  /** Removes what is kept of the finished jobs of all runs of a deleted video. */
  async forget({ run, ...video }: VideoRef): Promise<void> {
    for (let past = run; past > 0; past--) {
      await this.#queues.finalize.remove(jobIds.finalize({ ...video, run: past })); // and its children
      await this.#queues.plan.remove(jobIds.plan({ ...video, run: past }));
    }
  }

  /** Jobs of each queue by state, for /health/ready and /metrics. */
  async counts(): Promise<Record<QueueName, { waiting: number; active: number; delayed: number; failed: number }>> {
    const entries = await Promise.all(
      QUEUE_NAMES.map(async (name) => {
        const counts = await this.#queues[name].getJobCounts('wait', 'prioritized', 'active', 'delayed', 'failed');
        const { wait = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts;
        return [name, { waiting: wait + prioritized, active, delayed, failed }] as const;
      }),
    );
    return Object.fromEntries(entries) as Record<QueueName, (typeof entries)[number][1]>;
  }

  async close(): Promise<void> {
    await closeAll(this.#opened);
    this.#redis.disconnect();
  }
}

async function closeAll({ queues, flows }: Opened): Promise<void> {
  await Promise.all([...Object.values(queues), flows].map((each) => each.close()));
}

/** Callers may hand over a whole video; a payload has the reference only. */
const pick = ({ tenant, videoId, run }: VideoRef): VideoRef => ({ tenant, videoId, run });

/** Checks of datasources and controllers: each is begun, pushes valid frames, and ends when it is asked to. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RelayError, withTimeout } from '../../core/core.ts';
import { frameOf } from '../../plugin-host/programs/internal.ts';
import { Double } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import type { Check, Exam } from '../exam.ts';
import { describeError, failed, note, ok } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';

// A datasource that says nothing of its rate may be slow.
const FIRST_FRAME_MS = 10_000;
// A push may be on its way; more than that are not stopped by the answer.
const SETTLE_MS = 1_000;
const MAX_LATE_PUSHES = 3;

export const RECORDINGS: Check = {
  name: 'its datasources record and stop',
  section: 'What the relay calls',
  expected: 'plugin.start_record is answered at once, frames are pushed with relay.push_items, and the answer false ends them',
  advice: 'push in a thread of its own, wait for each answer, and end when it is false or plugin.stop_record is called',
  needsMain: true,
  when: ({ description }) => (description?.datasources.length ?? 0) > 0,
  run: async (exam) => {
    const silent: string[] = [];
    for (const { name, timeoutMs } of exam.description?.datasources ?? []) {
      const outcome = await record(exam, name, timeoutMs ?? FIRST_FRAME_MS);
      if (typeof outcome !== 'boolean') return outcome;
      if (!outcome) silent.push(name);
    }
    return silent.length === 0 ? ok() : note(`no frame came of ${silent.join(', ')}`, 'if it has something to record, push it');
  },
};

export const COMMANDS: Check = {
  name: 'its controllers answer several commands at once',
  section: 'What the relay calls',
  expected: 'plugin.command is answered at once, and each stream gets valid frames and its own end, or ends by plugin.cancel',
  advice: 'push the frames of each command to the stream that came with it, then end: true or error',
  needsMain: true,
  when: ({ parts, description }) => parts.callsMethods && (description?.controllers.length ?? 0) > 0,
  run: async (exam) => {
    for (const { name } of exam.description?.controllers ?? []) {
      const outcomes = await Promise.all(['check one', 'check two'].map((payload) => command(exam, name, payload)));
      const wrong = outcomes.find((outcome) => outcome !== undefined);
      if (wrong) return wrong;
    }
    return ok();
  },
};

/** True if a frame came, false if none did, or what is wrong. */
async function record({ main, parts: { relay, limits, clock } }: Exam, name: string, firstFrameMs: number): Promise<Outcome | boolean> {
  const stream = relay.openStream();
  const ending = new AbortController();
  const items = stream.items(ending.signal);
  try {
    await main.call('plugin.start_record', [name, { stream: stream.id }], limits.setupMs);
    const waitMs = Math.min(limits.callMs, Math.max(firstFrameMs, FIRST_FRAME_MS));
    const first = await withTimeout(clock, waitMs, '', () => items.next()).catch((error: unknown) => {
      if (RelayError.is(error) && error.code === 'TIMEOUT') return undefined;
      throw error;
    });
    if (first?.done === false) frameOf(first.value, name, Date.now);
    relay.closeStream(stream);
    const before = relay.refusedPushes;
    await main.call('plugin.stop_record', [stream.id], limits.setupMs);
    await sleep(SETTLE_MS);
    if (relay.refusedPushes - before > MAX_LATE_PUSHES) return failed(`${name} goes on pushing frames after it was stopped`);
    return first?.done === false;
  } catch (error) {
    return failed(`${name}: ${describeError(error)}`);
  } finally {
    relay.closeStream(stream);
    ending.abort(new RelayError('UNAVAILABLE', 'the check is over'));
  }
}

/** What is wrong with a command; undefined if nothing is. */
async function command({ main, parts: { relay, limits, clock } }: Exam, name: string, payload: string): Promise<Outcome | undefined> {
  const stream = relay.openStream();
  const frame: Sendable = { source: 'check', type: 'text/plain', timestamp: new Double(Date.now()), payload: Buffer.from(payload) };
  const ending = new AbortController();
  let invalid: unknown;
  const drain = async (): Promise<void> => {
    for await (const item of stream.items(ending.signal)) {
      try {
        frameOf(item, name, Date.now);
      } catch (error) {
        invalid ??= error;
      }
    }
  };
  try {
    await main.call('plugin.command', [name, frame, { stream: stream.id }], limits.setupMs);
    const isOver = await withTimeout(clock, FIRST_FRAME_MS, '', drain).then(
      () => true,
      (error: unknown) => {
        // That a command of a check fails is no breach of the protocol.
        if (stream.isEnded) return true;
        if (RelayError.is(error) && error.code === 'TIMEOUT') return false;
        throw error;
      },
    );
    relay.closeStream(stream);
    if (invalid !== undefined) return failed(describeError(invalid));
    if (isOver) return undefined;
    const before = relay.refusedPushes;
    await main.call('plugin.cancel', [stream.id], limits.setupMs);
    await sleep(SETTLE_MS);
    return relay.refusedPushes - before > MAX_LATE_PUSHES ? failed(`${name} goes on pushing frames after it was canceled`) : undefined;
  } catch (error) {
    return failed(`${name}: ${describeError(error)}`);
  } finally {
    relay.closeStream(stream);
    ending.abort(new RelayError('UNAVAILABLE', 'the check is over'));
  }
}

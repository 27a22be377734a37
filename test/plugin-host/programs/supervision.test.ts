/** The state machine of a program's process without a process: every transition, and states that no sequence of events may reach. */
import test from 'ava';
import fc from 'fast-check';
import { RUNG_MS, isLive, step } from '../../../src/plugin-host/programs/supervision.ts';
import type { Supervised, SupervisionEffect, SupervisionEvent, SupervisionRules } from '../../../src/plugin-host/programs/supervision.ts';

const RULES = { startTimeoutMs: 10_000, pingIntervalMs: 5_000, maxTimeouts: 3 };

/** A state machine with a fake clock. */
class Life {
  state: Supervised = { kind: 'stopped' };
  now = 1_000_000;
  isWorking = false;
  lastSign = 0;
  random = 0.5;
  readonly effects: SupervisionEffect[] = [];

  on(...events: SupervisionEvent[]): string {
    for (const event of events) {
      const rules: SupervisionRules = {
        ...RULES,
        now: this.now,
        random: () => this.random,
        isWorking: this.isWorking,
        lastSign: this.lastSign,
      };
      const [state, effects] = step(this.state, event, rules);
      this.state = state;
      this.effects.push(...effects);
    }
    return this.state.kind;
  }

  /** The effects since the last call, in one line. */
  take(): string {
    return this.effects
      .splice(0)
      .map((effect) =>
        effect.type === 'wait' ? `wait ${effect.ms ?? 'no more'}` : effect.type === 'alarm' ? `alarm: ${effect.reason}` : effect.type,
      )
      .join(', ');
  }
}

const START = { type: 'start' } as const;
const STOP = { type: 'stop' } as const;
const GREETED = { type: 'greeted' } as const;
const PREPARED = { type: 'prepared' } as const;
const DUE = { type: 'due', relayPaused: false } as const;
const MISSED = { type: 'missed', relayPaused: false } as const;
// These events occur when the relay itself was paused for a while.
const DUE_AFTER_PAUSE = { type: 'due', relayPaused: true } as const;
const MISSED_IN_PAUSE = { type: 'missed', relayPaused: true } as const;
const ANSWERED = { type: 'answered' } as const;
const EXITED = { type: 'exited', reason: 'it ended with code 1', isSpared: false } as const;
const SPARED = { ...EXITED, isSpared: true } as const;

function up(): Life {
  const life = new Life();
  life.on(START, GREETED, PREPARED);
  life.take();
  return life;
}

test('a process is spawned, sends its handshake in time, is prepared, and is pinged when it is quiet', (t) => {
  const life = new Life();
  t.is(life.on(START), 'starting');
  t.is(life.take(), 'spawn, wait 10000');
  life.on(GREETED);
  t.is(life.take(), 'wait no more');
  t.is(life.on(PREPARED), 'up');
  t.is(life.take(), 'wait 5000');
  life.now += 5_000;
  life.on(DUE);
  t.is(life.take(), 'ping');
  life.on(ANSWERED);
  t.is(life.take(), 'wait 5000');
});

test('an answer to a call counts like an answer to a ping', (t) => {
  const life = up();
  life.now += 5_000;
  life.lastSign = life.now - 1_000;
  life.on(DUE);
  t.is(life.take(), 'wait 4000');
});

test('a program that is working is busy and not pinged', (t) => {
  const life = up();
  life.isWorking = true;
  life.now += 5_000;
  life.on(DUE);
  t.is(life.take(), 'wait 5000');
  t.like(life.state, { kind: 'up', isBusy: true });
  life.on(ANSWERED);
  t.like(life.state, { kind: 'up', isBusy: false });
});

test('a missed ping makes a program unresponsive, an answer makes it ready, and too many in a row restart it', (t) => {
  const life = up();
  life.on(MISSED, MISSED);
  t.like(life.state, { kind: 'up', missed: 2 });
  life.on(ANSWERED);
  t.like(life.state, { kind: 'up', missed: 0 });
  life.take();
  life.on(MISSED, MISSED, MISSED);
  t.is(life.take(), `wait 5000, wait 5000, term, wait ${RUNG_MS}`);
  t.is(life.on(EXITED), 'backoff');
  t.like(life.state, { reason: 'it did not answer 3 times in a row (maxTimeouts)', until: life.now + 250 });
  t.is(life.on(DUE), 'starting');
});

/** Lets the program hang once, so that it is killed and restarted. */
function hang(life: Life): string {
  life.on(MISSED, MISSED, MISSED);
  return life.on(EXITED, DUE, GREETED, PREPARED);
}

test('a program that hangs repeatedly is restarted with growing back-off, and fails after the fifth restart in a minute', (t) => {
  const life = up();
  life.random = 1 - 1e-9;
  const pauses: number[] = [];
  for (let times = 0; times < 5; times++) {
    life.on(MISSED, MISSED, MISSED, EXITED);
    pauses.push((life.state as { until: number }).until - life.now);
    t.is(life.on(DUE, GREETED, PREPARED), 'up');
  }
  t.deepEqual(pauses, [500, 1000, 2000, 4000, 8000]);
  life.take();
  t.is(hang(life), 'failed');
  t.regex(life.take(), /alarm: it was started 5 times in 60 s .*; the last time: it did not answer 3 times in a row/);
});

test('a minute of health before a hang clears the history; the time of the hang does not count', (t) => {
  for (const [wellMs, deaths] of [
    [59_999, 3],
    [60_000, 1],
  ] as const) {
    const life = up();
    hang(life);
    hang(life);
    life.lastSign = life.now + wellMs;
    life.now += 3_600_000;
    life.on(MISSED, MISSED, MISSED, EXITED);
    t.like(life.state, { kind: 'backoff', history: { deaths } });
  }
});

test('a message that makes a program hang is blamed like one that crashes it', (t) => {
  const life = up();
  for (let times = 0; times < 50; times++) t.is(life.on(MISSED, MISSED, MISSED, SPARED, DUE, GREETED, PREPARED), 'up');
});

test('pings missed while the relay was paused do not count, for at most a minute without an answer', (t) => {
  const life = up();
  for (let calls = 0; calls < 100; calls++) life.on(MISSED_IN_PAUSE);
  t.like(life.state, { kind: 'up', missed: 0 });
  life.on(ANSWERED);
  life.now += 3_600_000;
  life.on(MISSED_IN_PAUSE);
  t.like(life.state, { kind: 'up', missed: 0 }, 'an answer begins the minute again');
  life.now += 60_000;
  t.is(life.on(MISSED_IN_PAUSE, MISSED_IN_PAUSE, MISSED_IN_PAUSE), 'stopping');
});

test('the start timeout starts again once if the relay was paused', (t) => {
  const life = new Life();
  life.on(START);
  t.is(life.on(DUE_AFTER_PAUSE), 'starting');
  t.is(life.take(), 'spawn, wait 10000, wait 10000');
  t.is(life.on(DUE_AFTER_PAUSE), 'stopping');
});

test('a program whose first line does not arrive is killed and restarted', (t) => {
  const life = new Life();
  life.on(START);
  life.take();
  t.is(life.on(DUE), 'stopping');
  t.is(life.take(), `term, wait ${RUNG_MS}`);
  t.is(life.on(EXITED), 'backoff');
  t.like(life.state, { reason: 'its first line did not come in 10000 ms (startTimeoutMs)' });
  t.is(life.on(DUE), 'starting');
});

test('a refused start is not retried, a broken one is, and an unstartable program has no process to kill', (t) => {
  const refused = new Life();
  t.is(refused.on(START, { type: 'refused', reason: 'version 9' }, EXITED), 'failed');
  t.true(refused.take().endsWith('alarm: version 9'));
  const broken = new Life();
  t.is(broken.on(START, GREETED, { type: 'broken', reason: 'no answer' }), 'stopping');
  t.like(broken.state, { rung: 'ask' });
  t.is(broken.on(EXITED), 'backoff');
  const missing = new Life();
  t.is(missing.on(START, { type: 'unstartable', reason: 'there is no such file' }), 'failed');
});

test('a process that can be called no more is ended with SIGTERM and restarted, and only a minute of health clears its history', (t) => {
  const lost = { type: 'broken', reason: 'the pipe broke' } as const;
  const life = up();
  life.take();
  t.is(life.on(lost), 'stopping');
  t.is(life.take(), 'term, wait 5000');
  t.is(life.on(EXITED), 'backoff');
  t.like(life.state, { reason: 'the pipe broke', history: { deaths: 1 } });
  life.on(DUE, GREETED, PREPARED, lost, EXITED);
  t.like(life.state, { history: { deaths: 2 } });
  life.on(DUE, GREETED, PREPARED);
  life.now += 60_000;
  life.on(lost, EXITED);
  t.like(life.state, { history: { deaths: 1 } });
});

test('a stop calls plugin.stop, then sends SIGTERM, then SIGKILL, each after a timeout; a failed call skips to SIGTERM', (t) => {
  const life = up();
  life.on(STOP);
  t.is(life.take(), `ask, wait ${RUNG_MS}`);
  life.on(DUE);
  t.is(life.take(), `term, wait ${RUNG_MS}`);
  life.on(DUE);
  t.is(life.take(), `kill, wait ${RUNG_MS}`);
  life.on(DUE);
  t.is(life.take(), `kill, wait ${RUNG_MS}`);
  t.is(life.on(EXITED), 'stopped');
  const deaf = up();
  deaf.on(STOP, { type: 'deaf' });
  t.is(deaf.take(), `ask, wait ${RUNG_MS}, term, wait ${RUNG_MS}`);
  const silent = new Life();
  silent.on(START, STOP);
  t.is(silent.take(), `spawn, wait 10000, term, wait ${RUNG_MS}`);
});

test('a start during a stop takes effect when the old process has ended; another stop cancels it', (t) => {
  const life = up();
  t.is(life.on(STOP, START), 'stopping');
  t.is(life.on(EXITED), 'starting');
  life.on(GREETED, PREPARED);
  t.is(life.on(STOP, START, STOP, EXITED), 'stopped');
});

test('the back-off doubles up to a minute, with full jitter', (t) => {
  const pauses: number[] = [];
  const life = new Life();
  life.random = 1 - 1e-9;
  life.on(START);
  for (let deaths = 0; deaths < 10; deaths++) {
    life.on(SPARED);
    pauses.push((life.state as { until: number }).until - life.now);
    life.on(DUE);
  }
  t.deepEqual(pauses, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
  life.random = 0;
  life.on(SPARED);
  t.is((life.state as { until: number }).until, life.now);
});

test('after five restarts in a minute the next exit raises an alarm; a manual start begins with a clean history', (t) => {
  const life = up();
  for (let restart = 0; restart < 5; restart++) t.is(life.on(EXITED, DUE, GREETED, PREPARED), 'up');
  life.take();
  t.is(life.on(EXITED), 'failed');
  t.is(life.take(), 'wait no more, alarm: it was started 5 times in 60 s and ended each time; the last time: it ended with code 1');
  t.is(life.on(DUE), 'failed');
  t.is(life.on(START), 'starting');
  t.is(life.on(EXITED), 'backoff');
});

test('restarts spread over more than a minute do not count as a loop', (t) => {
  const life = up();
  for (let restart = 0; restart < 20; restart++) {
    life.now += 13_000;
    t.is(life.on(EXITED, DUE, GREETED, PREPARED), 'up');
  }
});

test('a minute of health clears the history', (t) => {
  const life = up();
  life.random = 1;
  for (let restart = 0; restart < 4; restart++) life.on(EXITED, DUE, GREETED, PREPARED);
  life.now += 60_000;
  life.on(EXITED);
  t.like(life.state, { kind: 'backoff', until: life.now + 500, history: { deaths: 1 } });
});

test('a program is not blamed for a message that crashes it', (t) => {
  const life = up();
  for (let restart = 0; restart < 50; restart++) t.is(life.on(SPARED, DUE, GREETED, PREPARED), 'up');
});

test('a stop during back-off cancels the restart, and events without a process are ignored', (t) => {
  const life = up();
  life.on(EXITED);
  t.is(life.on(STOP), 'stopped');
  for (const event of [EXITED, DUE, GREETED, PREPARED, ANSWERED, MISSED, { type: 'deaf' } as const]) t.is(life.on(event), 'stopped');
  t.is(life.take(), 'wait 250, wait no more');
});

const EVENTS: readonly SupervisionEvent[] = [
  ...[START, STOP, GREETED, PREPARED, DUE, DUE_AFTER_PAUSE, MISSED, MISSED_IN_PAUSE, ANSWERED, EXITED, SPARED],
  ...[
    { type: 'deaf' } as const,
    { type: 'refused', reason: 'r' } as const,
    { type: 'broken', reason: 'b' } as const,
    { type: 'unstartable', reason: 'u' } as const,
  ],
];
const KINDS = ['stopped', 'starting', 'up', 'stopping', 'backoff', 'failed'];

/** True if the event is possible: only a live process exits, and a live process cannot be unstartable. */
function happens(event: SupervisionEvent, isAlive: boolean): boolean {
  if (event.type === 'exited') return isAlive;
  return event.type !== 'unstartable' || !isAlive;
}

test('no sequence of events creates a second process, loses track of one, or reaches an unknown state', (t) => {
  const moments = fc.array(
    fc.record({ event: fc.constantFrom(...EVENTS), ms: fc.nat(70_000), isWorking: fc.boolean(), isMade: fc.boolean() }),
    {
      maxLength: 60,
    },
  );
  fc.assert(
    fc.property(moments, fc.double({ min: 0, max: 0.999, noNaN: true }), (sequence, random) => {
      const life = new Life();
      life.random = random;
      let isAlive = false;
      for (const { event, ms, isWorking, isMade } of sequence) {
        if (!happens(event, isAlive)) continue;
        life.now += ms;
        life.isWorking = isWorking;
        if (event.type === 'exited') isAlive = false;
        life.on(event);
        for (const { type } of life.effects.splice(0)) {
          if (type === 'spawn' && isAlive) return false;
          if (type === 'spawn' && isMade) isAlive = true;
          else if (type === 'spawn') life.on({ type: 'unstartable', reason: 'u' });
          if ((type === 'term' || type === 'kill' || type === 'ask' || type === 'ping') && !isAlive) return false;
        }
        if (!KINDS.includes(life.state.kind) || isAlive !== isLive(life.state)) return false;
      }
      return true;
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});

test('a stop completes from every state, with SIGKILL if necessary', (t) => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }), (sequence) => {
      const life = new Life();
      for (const event of sequence) if (happens(event, isLive(life.state))) life.on(event);
      life.on(STOP);
      if (!isLive(life.state)) return life.state.kind === 'stopped';
      life.effects.splice(0);
      life.on(DUE, DUE);
      if (!life.effects.some(({ type }) => type === 'kill')) return false;
      return life.on(EXITED) === 'stopped';
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});

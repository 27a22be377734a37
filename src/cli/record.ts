/** Follows recordings, replays and commands, and prints their frames. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { RelayError, clean, reasonOf } from '../core/core.ts';
import { frameLine, payloadText } from '../json/json.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { withRelay } from './relay-connection.ts';
import { atNode } from './target.ts';
import type { NodeFlags, TargetFlags } from './target.ts';
import { failureText } from './values.ts';

/** Flags of the commands that print frames. */
interface PrintFlags extends NodeFlags {
  readonly count?: number;
  readonly out?: string;
}

/** The flags of `co2 record tail`. */
export interface TailFlags extends PrintFlags {
  readonly from: string;
}

/** The flags of `co2 record replay`. */
export interface ReplayFlags extends PrintFlags {
  readonly speed: number;
  readonly since?: number;
  readonly until?: number;
}

/** The flags of `co2 command`. */
export interface CommandFlags extends PrintFlags {
  /** A text, `@file`, or `-`. */
  readonly payload?: string;
  readonly type: string;
  readonly source?: string;
}

// A poll must end well before a call times out.
const WAIT_MS = 20_000;

/** Prints the frames of a recording until `count` is reached, or the process is interrupted. */
export async function tail(name: string, flags: TailFlags): Promise<void> {
  await withOutput(flags, (output) =>
    withRelay(flags, async (call) => {
      let shown = '';
      for (let from = flags.from; ;) {
        const page = structOf(await call('recording.subscribe', { name, from, waitMs: waitOf(flags), ...atNode(flags) }));
        const { missed, reset, state, reason } = page;
        if (Number(missed) > 0) say(`missed ${Number(missed)} frames: this reader was too slow`);
        if (reset === true) say('the relay was restarted');
        const now = `${textOf(state)}${typeof reason === 'string' && reason !== '' ? `: ${clean(reason, 500)}` : ''}`;
        if (now !== shown && now !== 'recording') say(`${name} is ${now}${now === 'idle' ? `; co2 record start ${name} starts it` : ''}`);
        shown = now;
        if (await output.print(page)) return;
        from = textOf(page.next);
      }
    }),
  );
}

/** Prints stored frames when they are due, until there are no more. */
export async function replay(name: string, flags: ReplayFlags): Promise<void> {
  const { speed, since, until } = flags;
  await withOutput(flags, (output) =>
    withRelay(flags, async (call) => {
      const wanted = {
        name,
        speed,
        ...atNode(flags),
        ...(since !== undefined && { since: new Date(since) }),
        ...(until !== undefined && { until: new Date(until) }),
      };
      for (let next: Record<string, Sendable> = {}; ;) {
        const page = structOf(await call('recording.replay', { ...wanted, ...next, waitMs: waitOf(flags) }));
        if (await output.print(page)) return;
        if (page.ended === true) {
          if (!output.hasPrinted) say(`no frames of ${name} are stored for this time; co2 record start ${name} --store keeps them`);
          return;
        }
        next = { next: textOf(page.next) };
      }
    }),
  );
}

/** Sends a frame to a controller and prints the frames of the answer. Resolves to the exit code of the command. */
export async function command(name: string, flags: CommandFlags): Promise<number> {
  const { type, source } = flags;
  const payload = await payloadOf(flags.payload);
  return withOutput(flags, (output) =>
    withRelay(flags, async (call) => {
      const frame = { type, payload, ...(source !== undefined && { source }) };
      let page = structOf(await call('recording.command', name, frame, { waitMs: waitOf(flags), ...atNode(flags) }));
      const id = textOf(page.command);
      const interrupt = (): void => {
        void call('recording.cancel', { command: id, ...atNode(flags) }).catch(() => undefined);
      };
      process.once('SIGINT', interrupt);
      try {
        await output.print(page);
        while (page.ended !== true) {
          page = structOf(
            await call('recording.frames', { command: id, next: Number(page.next), waitMs: waitOf(flags), ...atNode(flags) }),
          );
          await output.print(page);
        }
      } finally {
        process.off('SIGINT', interrupt);
      }
      if (page.state === 'succeeded') return 0;
      process.stderr.write(`${failureText(name, textOf(page.state), textOf(page.reason), flags)}\n`);
      return 1;
    }),
  );
}

/** Runs `work` with the place to which frames are printed. */
async function withOutput<T>(flags: PrintFlags, work: (output: Output) => Promise<T>): Promise<T> {
  const { out } = flags;
  const file = out === undefined ? undefined : createWriteStream(out);
  if (file) await once(file, 'open').catch((error: unknown) => fail(`--out: cannot write ${clean(out ?? '')}`, error));
  try {
    return await work(new Output(file ?? process.stdout, flags, file !== undefined));
  } finally {
    if (file) {
      file.end();
      await once(file, 'close');
    }
  }
}

class Output {
  #left: number;
  #hasPrinted = false;

  constructor(
    private readonly stream: NodeJS.WritableStream,
    private readonly flags: PrintFlags,
    private readonly isFile: boolean,
  ) {
    this.#left = flags.count ?? Infinity;
  }

  /** True if there was a frame. */
  get hasPrinted(): boolean {
    return this.#hasPrinted;
  }

  /** Prints the frames of a page. True if no more are wanted. */
  async print({ frames }: Dict): Promise<boolean> {
    for (const frame of Array.isArray(frames) ? (frames as readonly Value[]) : []) {
      if (this.#left <= 0) break;
      this.#left--;
      this.#hasPrinted = true;
      if (!this.stream.write(this.#formOf(structOf(frame)))) await once(this.stream, 'drain');
    }
    return this.#left <= 0;
  }

  #formOf({ source, type, timestamp, payload }: Dict): Buffer | string {
    const bytes = Buffer.isBuffer(payload) ? payload : Buffer.alloc(0);
    if (this.isFile && this.flags.json !== true) return bytes;
    const frame = { source: textOf(source), type: textOf(type), timestamp: Number(timestamp), payload: bytes };
    if (this.flags.json === true) return `${frameLine(frame)}\n`;
    const text = payloadText(frame.type, bytes);
    if (text !== undefined)
      return `${text
        .split('\n')
        .map((line) => clean(line, Infinity))
        .join('\n')
        .replace(/\n$/, '')}\n`;
    return `${new Date(frame.timestamp).toISOString()} ${clean(frame.source, 200)} ${clean(frame.type, 200)} ${bytes.length} B\n`;
  }
}

/** The bytes that the user gives: a text, `@file`, or `-`. */
async function payloadOf(data = ''): Promise<Buffer> {
  if (data === '-') return buffer(process.stdin);
  if (!data.startsWith('@')) return Buffer.from(data);
  return readFile(data.slice(1)).catch((error: unknown) => fail(`--data: cannot read ${clean(data.slice(1))}`, error));
}

function fail(text: string, error: unknown): never {
  throw new RelayError('CONFIG_INVALID', `${text}: ${clean(reasonOf(error))}`, { cause: error });
}

function say(text: string): void {
  process.stderr.write(`co2: ${text}\n`);
}

function waitOf({ timeout }: TargetFlags): number {
  return Math.floor(Math.min(WAIT_MS, timeout * 500));
}

function structOf(answer: Value): Dict {
  if (isDict(answer)) return answer;
  throw new RelayError('TRANSPORT', "the server's response is not that of a recording");
}

function textOf(value: Value | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** Submits a unit of work, follows it, and prints its results as they come. */
import { createReadStream } from 'node:fs';
import { once } from 'node:events';
import { reasonOf, RelayError, clean } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { withRelay } from './relay-connection.ts';
import type { Call } from './relay-connection.ts';
import type { TargetFlags } from './target.ts';
import { paramsOf as valuesOf, toJson, toText } from './values.ts';

/** The flags of `co2 work submit`. */
export interface SubmitFlags extends TargetFlags {
  readonly payload?: string;
  readonly id?: string;
  readonly ttl?: number;
  readonly runTime?: number;
  readonly follow?: boolean;
}

/** The flags of `co2 work results`. */
export interface ResultFlags extends TargetFlags {
  readonly stream?: string;
  readonly offset: number;
  readonly follow?: boolean;
}

// A poll must end well before a call times out.
const WAIT_MS = 20_000;
// As base64 it stays below the default limit of a relay on a body.
const MAX_PAYLOAD_BYTES = 5 * 1024 * 1024;
const PROGRESS_MS = 500;

/** Submits a unit and prints it, or follows it. Resolves to the exit code of the command. */
export async function submit(type: string, words: readonly string[], flags: SubmitFlags): Promise<number> {
  const params = words.length === 0 ? {} : { params: paramsOf(words) };
  const payload = flags.payload === undefined ? Buffer.alloc(0) : await readPayload(flags.payload);
  const options = {
    ...(flags.id !== undefined && { id: flags.id }),
    ...(flags.ttl !== undefined && { ttl: Math.ceil(flags.ttl * 1000) }),
    ...(flags.runTime !== undefined && { timeoutMs: Math.ceil(flags.runTime * 1000) }),
  };
  return withRelay(flags, async (call) => {
    const unit = unitOf(await call('work.submit', { type, payload, ...params, ...options }));
    if (flags.follow === true) return follow(call, unit, flags);
    process.stdout.write(`${flags.json === true ? toJson(unit) : textOf(unit.unit)}\n`);
    return 0;
  });
}

/** Prints a unit, once it has ended if the flags say so. Resolves to the exit code of the command. */
export function showUnit(id: string, flags: TargetFlags & { readonly wait?: boolean }): Promise<number> {
  return withRelay(flags, async (call) => {
    let unit = unitOf(await call('work.status', id));
    while (flags.wait === true && !hasEnded(unit)) unit = unitOf(await call('work.status', { unit: id, waitMs: waitOf(flags) }));
    process.stdout.write(`${flags.json === true ? toJson(unit) : toText(unit)}\n`);
    return flags.wait === true ? exitCodeOf(unit) : 0;
  });
}

/** Prints one output of a unit. Resolves to the exit code of the command. */
export function printResults(id: string, flags: ResultFlags): Promise<number> {
  return withRelay(flags, async (call) => {
    const unit = unitOf(await call('work.status', id));
    const name = flags.stream ?? namesOf(unit)[0];
    await printStream(call, id, name, flags, process.stdout);
    return flags.follow === true ? exitCodeOf(unitOf(await call('work.status', id))) : 0;
  });
}

/** Prints all outputs of a unit until it ends: that of the name stderr to stderr, others to stdout. */
async function follow(call: Call, submitted: Dict, flags: SubmitFlags): Promise<number> {
  const id = textOf(submitted.unit);
  const progress = new Progress(id);
  try {
    let unit = submitted;
    while (unit.state === 'pending') {
      progress.show(unit);
      unit = unitOf(await call('work.results', { unit: id, waitMs: waitOf(flags) }));
    }
    unit = unitOf(await call('work.status', id));
    progress.begin(() => call('work.status', id).then(unitOf));
    const printed = { ...flags, follow: true, offset: 0 };
    await Promise.all(
      namesOf(unit).map((name) => printStream(call, id, name, printed, name === 'stderr' ? process.stderr : process.stdout)),
    );
    unit = unitOf(await call('work.status', { unit: id, waitMs: waitOf(flags) }));
    progress.end();
    if (unit.state !== 'succeeded') process.stderr.write(`co2: unit ${id} ${textOf(unit.state)}${reasonText(unit)}\n`);
    return exitCodeOf(unit);
  } finally {
    progress.end();
  }
}

/** Prints an output from an offset on, to its end if it is followed. */
async function printStream(
  call: Call,
  id: string,
  name: string | undefined,
  flags: ResultFlags,
  out: NodeJS.WritableStream,
): Promise<void> {
  let { offset } = flags;
  for (;;) {
    const wait = flags.follow === true ? waitOf(flags) : 0;
    const page = unitOf(await call('work.results', { unit: id, offset, waitMs: wait, ...(name !== undefined && { stream: name }) }));
    const items = Array.isArray(page.items) ? (page.items as readonly Value[]) : [];
    for (const item of items) if (!out.write(bytesOf(item, flags))) await once(out, 'drain');
    offset = Number(page.next);
    if (page.ended === true && items.length === 0) return;
    if (flags.follow !== true && items.length === 0) return;
  }
}

/** A result as it is printed: bytes and texts as they are, a struct as a line of JSON. With `--json` every result is a line. */
function bytesOf(item: Value, flags: TargetFlags): Buffer | string {
  if (flags.json === true || isDict(item)) return `${toJson(item, 0)}\n`;
  return Buffer.isBuffer(item) ? item : textOf(item);
}

/** How a unit goes on, on a terminal: one line of stderr that is overwritten. */
class Progress {
  readonly #isShown = process.stderr.isTTY && !process.stdout.isTTY;
  #timer: NodeJS.Timeout | undefined;
  #hasLine = false;

  constructor(private readonly id: string) {}

  begin(ask: () => Promise<Dict>): void {
    if (!this.#isShown) return;
    this.#timer = setInterval(() => {
      ask().then(
        (unit) => {
          if (this.#timer) this.show(unit);
        },
        () => undefined,
      );
    }, PROGRESS_MS);
  }

  show(unit: Dict): void {
    if (!this.#isShown) return;
    const place = typeof unit.position === 'number' && unit.position >= 0 ? `, ${unit.position} before it` : '';
    const sizes = Object.entries(isDict(unit.outputs) ? unit.outputs : {}).map(
      ([name, size]) => `${name} ${isDict(size) ? Number(size.bytes) : 0} B`,
    );
    process.stderr.write(`\r\u001b[K${this.id}: ${textOf(unit.state)}${place} ${sizes.join(', ')}`);
    this.#hasLine = true;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#hasLine) process.stderr.write('\r\u001b[K');
    this.#hasLine = false;
  }
}

function paramsOf(words: readonly string[]): Sendable {
  const [params, ...more] = valuesOf(words);
  if ((isDict(params) || params instanceof Map) && more.length === 0) return params;
  throw new RelayError('CONFIG_INVALID', 'parameters are key=value pairs, or one struct as JSON: width=200');
}

async function readPayload(file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    const source = file === '-' ? process.stdin : createReadStream(file);
    for await (const chunk of source as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_PAYLOAD_BYTES)
        throw new RelayError('CONFIG_INVALID', `--payload: ${clean(file)} is larger than ${MAX_PAYLOAD_BYTES} bytes`);
    }
  } catch (error) {
    if (RelayError.is(error)) throw error;
    throw new RelayError('CONFIG_INVALID', `--payload: cannot read ${clean(file)}: ${clean(reasonOf(error))}`, { cause: error });
  }
  return Buffer.concat(chunks);
}

function waitOf({ timeout }: TargetFlags): number {
  return Math.floor(Math.min(WAIT_MS, timeout * 500));
}

function unitOf(answer: Value): Dict {
  if (isDict(answer)) return answer;
  throw new RelayError('TRANSPORT', "the server's response is not a unit of work");
}

function textOf(value: Value | undefined): string {
  return typeof value === 'string' ? value : '';
}

function namesOf({ outputs }: Dict): readonly string[] {
  return Object.keys(isDict(outputs) ? outputs : {});
}

function hasEnded({ state }: Dict): boolean {
  return state !== 'pending' && state !== 'running';
}

function reasonText({ reason }: Dict): string {
  return typeof reason === 'string' && reason !== '' ? `: ${clean(reason, 500)}` : '';
}

/** The exit code of a program, or 0 for success and 1 for anything else. */
function exitCodeOf({ state, exit_code: code }: Dict): number {
  if (typeof code === 'number' && code > 0) return code;
  return state === 'succeeded' ? 0 : 1;
}

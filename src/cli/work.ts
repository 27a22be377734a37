/** Submits a unit of work, follows it, and prints its results as they come. */
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { reasonOf, RelayError, clean } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { withRelay } from './relay-connection.ts';
import type { Call } from './relay-connection.ts';
import type { RelayHttp } from './relay-http.ts';
import { atNode } from './target.ts';
import type { NodeFlags, TargetFlags } from './target.ts';
import { failureText, paramsOf as valuesOf, toJson, toText } from './values.ts';

/** The flags of `co2 work submit`. */
export interface SubmitFlags extends NodeFlags {
  readonly payload?: string;
  readonly id?: string;
  readonly ttl?: number;
  readonly runTime?: number;
  readonly follow?: boolean;
  readonly any?: boolean;
  readonly group?: readonly string[];
}

/** The flags of `co2 work results`. */
export interface ResultFlags extends NodeFlags {
  readonly stream?: string;
  readonly offset: number;
  readonly follow?: boolean;
}

// A poll must end well before a call times out.
const WAIT_MS = 20_000;
// A larger payload is uploaded. As base64 it stays below the default limit of a relay on a body.
const MAX_SUBMITTED_BYTES = 4 * 1024 * 1024;
const PROGRESS_MS = 500;

/** Submits a unit and prints it, or follows it. Resolves to the exit code of the command. */
export async function submit(type: string, words: readonly string[], flags: SubmitFlags): Promise<number> {
  const params: Record<string, Sendable> = words.length === 0 ? {} : { params: paramsOf(words) };
  const options = {
    ...(flags.id !== undefined && { id: flags.id }),
    ...(flags.ttl !== undefined && { ttl: Math.ceil(flags.ttl * 1000) }),
    ...(flags.runTime !== undefined && { timeoutMs: Math.ceil(flags.runTime * 1000) }),
    ...atNode(flags),
    ...(flags.any === true && { node: 'any' }),
  };
  if (flags.group !== undefined) return submitGroup({ type, ...params, ...options }, flags.group, flags);
  const payload = await openPayload(flags.payload);
  return withRelay(flags, async (call, _url, http) => {
    const carried = payload.rest ? { upload: true } : { payload: payload.start };
    let unit = unitOf(await call('work.submit', { type, ...carried, ...params, ...options }));
    // One of the same id may have its payload already.
    if (payload.rest && unit.awaits_payload === true) unit = await upload({ call, http }, textOf(unit.unit), payload, flags);
    payload.close();
    if (flags.follow === true) {
      // It is read here, wherever it runs.
      const { node: _node, ...here } = flags;
      return follow({ call, http }, unit, here);
    }
    process.stdout.write(`${flags.json === true ? toJson(unit) : textOf(unit.unit)}\n`);
    return 0;
  });
}

/** Submits a unit for each node and prints their ids. */
async function submitGroup(submission: Readonly<Record<string, Sendable>>, group: readonly string[], flags: SubmitFlags): Promise<number> {
  if (flags.follow === true) throw new RelayError('CONFIG_INVALID', '--follow follows one unit, and --group submits several');
  const { start, rest } = await openPayload(flags.payload);
  if (rest)
    throw new RelayError('CONFIG_INVALID', `--payload: more than ${MAX_SUBMITTED_BYTES} bytes are submitted for one node at a time`);
  return withRelay(flags, async (call) => {
    const answer = unitOf(await call('work.submit', { ...submission, payload: start, group }));
    const units = (Array.isArray(answer.units) ? (answer.units as readonly Value[]) : []).map((unit) => textOf(unitOf(unit).unit));
    process.stdout.write(`${flags.json === true ? toJson(answer) : units.join('\n')}\n`);
    return 0;
  });
}

/** How to reach the relay: by calls, and for bytes. */
interface Relay {
  readonly call: Call;
  readonly http: RelayHttp;
}

/** Sends the payload of a unit that waits for it. A unit that gets none is of no use, unless its id was chosen to submit it again. */
async function upload({ call, http }: Relay, id: string, { start, rest, bytes }: Payload, flags: SubmitFlags): Promise<Dict> {
  const progress = new Progress(id);
  async function* parts(): AsyncGenerator<Buffer, void> {
    yield start;
    let sent = start.length;
    for await (const chunk of rest ?? []) {
      yield chunk;
      progress.showUpload((sent += chunk.length), bytes);
    }
  }
  try {
    return unitOf(await http.put(`/work/${encodeURIComponent(id)}/payload`, parts(), bytes));
  } catch (error) {
    if (flags.id === undefined) await call('work.release', id).catch(() => undefined);
    throw error;
  } finally {
    progress.end();
  }
}

/** Prints a unit, once it has ended if the flags say so. Resolves to the exit code of the command. */
export function showUnit(id: string, flags: NodeFlags & { readonly wait?: boolean }): Promise<number> {
  return withRelay(flags, async (call) => {
    let unit = unitOf(await call('work.status', { unit: id, ...atNode(flags) }));
    while (flags.wait === true && !hasEnded(unit))
      unit = unitOf(await call('work.status', { unit: id, waitMs: waitOf(flags), ...atNode(flags) }));
    process.stdout.write(`${flags.json === true ? toJson(unit) : toText(unit)}\n`);
    return flags.wait === true ? exitCodeOf(unit) : 0;
  });
}

/** Prints one output of a unit. Resolves to the exit code of the command. */
export function printResults(id: string, flags: ResultFlags): Promise<number> {
  return withRelay(flags, async (call, _url, http) => {
    let unit = unitOf(await call('work.status', { unit: id, ...atNode(flags) }));
    while (flags.follow === true && unit.state === 'pending') unit = await change(call, id, flags);
    const name = flags.stream ?? namesOf(unit)[0];
    // One that did not start has no outputs.
    if (name !== undefined) await printStream({ call, http }, id, name, flags, process.stdout);
    return flags.follow === true ? exitCodeOf(await untilEnd(call, id, flags)) : 0;
  });
}

/** Prints all outputs of a unit until it ends: that of the name stderr to stderr, others to stdout. */
async function follow(relay: Relay, submitted: Dict, flags: SubmitFlags): Promise<number> {
  const { call } = relay;
  const id = textOf(submitted.unit);
  const progress = new Progress(id);
  try {
    let unit = submitted;
    while (unit.state === 'pending') {
      progress.show(unit);
      unit = await change(call, id, flags);
    }
    progress.begin(() => call('work.status', id).then(unitOf));
    const printed = { ...flags, follow: true, offset: 0 };
    await Promise.all(
      namesOf(unit).map((name) => printStream(relay, id, name, printed, name === 'stderr' ? process.stderr : process.stdout)),
    );
    unit = await untilEnd(call, id, flags);
    progress.end();
    if (unit.state !== 'succeeded') process.stderr.write(`${failureText(`unit ${id}`, textOf(unit.state), textOf(unit.reason), flags)}\n`);
    return exitCodeOf(unit);
  } finally {
    progress.end();
  }
}

/** A unit that is pending, once it has started, or as it is after a while. */
async function change(call: Call, id: string, flags: NodeFlags): Promise<Dict> {
  await call('work.results', { unit: id, limit: 1, waitMs: waitOf(flags), ...atNode(flags) });
  return unitOf(await call('work.status', { unit: id, ...atNode(flags) }));
}

async function untilEnd(call: Call, id: string, flags: NodeFlags): Promise<Dict> {
  for (;;) {
    const unit = unitOf(await call('work.status', { unit: id, waitMs: waitOf(flags), ...atNode(flags) }));
    if (hasEnded(unit)) return unit;
  }
}

/** Prints an output from an offset on, to its end if it is followed. */
async function printStream({ call, http }: Relay, id: string, name: string, flags: ResultFlags, out: NodeJS.WritableStream): Promise<void> {
  // The relay streams the bytes of its own units only.
  if (flags.json !== true && flags.node === undefined) {
    const query = `offset=${flags.offset}${flags.follow === true ? '&follow=1' : ''}`;
    await http.get(`/work/${encodeURIComponent(id)}/${encodeURIComponent(name)}?${query}`, out);
    return;
  }
  let { offset } = flags;
  for (;;) {
    const waitMs = flags.follow === true ? waitOf(flags) : 0;
    const page = unitOf(await call('work.results', { unit: id, stream: name, offset, waitMs, ...atNode(flags) }));
    const items = Array.isArray(page.items) ? (page.items as readonly Value[]) : [];
    for (const item of items) if (!out.write(flags.json === true ? `${toJson(item, 0)}\n` : plain(item))) await once(out, 'drain');
    offset = Number(page.next);
    if (items.length === 0 && (page.ended === true || flags.follow !== true)) return;
  }
}

/** A result as it is in the output of its unit. */
function plain(item: Value): Buffer | string {
  return typeof item === 'string' || Buffer.isBuffer(item) ? item : `${toJson(item, 0)}\n`;
}

/** How a unit goes on, on a terminal: one line of stderr that is overwritten. */
class Progress {
  readonly #isShown = process.stderr.isTTY && !process.stdout.isTTY;
  #timer: NodeJS.Timeout | undefined;
  #hasLine = false;
  #shownAt = 0;

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

  /** How much of the payload was sent, of how many bytes if that is known. */
  showUpload(sent: number, bytes: number | undefined): void {
    const now = Date.now();
    if (!process.stderr.isTTY || now - this.#shownAt < PROGRESS_MS) return;
    this.#shownAt = now;
    const whole = bytes === undefined ? '' : ` of ${mebibytes(bytes)} (${Math.floor((100 * sent) / bytes)} %)`;
    process.stderr.write(`\r\u001b[K${this.id}: sent ${mebibytes(sent)}${whole}`);
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

/** What is submitted: all of it, or its start and the rest. */
interface Payload {
  readonly start: Buffer;
  /** Undefined: there is no more. */
  readonly rest: AsyncIterable<Buffer> | undefined;
  /** Its size, where that is known. */
  readonly bytes: number | undefined;
  /** Closes its file, which may not have been read to the end. */
  readonly close: () => void;
}

/** Reads the payload as far as it fits into a call. */
async function openPayload(file: string | undefined): Promise<Payload> {
  if (file === undefined) return { start: Buffer.alloc(0), rest: undefined, bytes: 0, close: () => undefined };
  const fail = (error: unknown): never => {
    throw new RelayError('CONFIG_INVALID', `--payload: cannot read ${clean(file)}: ${clean(reasonOf(error))}`, { cause: error });
  };
  try {
    const handle = file === '-' ? undefined : await open(file);
    const info = await handle?.stat();
    // Devices, pipes and the files of the kernel have no size. What a file grows by meanwhile would exceed the length that was announced.
    const bytes = info?.isFile() === true && info.size > 0 ? info.size : undefined;
    const source: Readable = handle?.createReadStream(bytes === undefined ? {} : { end: bytes - 1 }) ?? process.stdin;
    const close = (): void => {
      source.destroy();
    };
    const chunks = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    const start: Buffer[] = [];
    for (let read = 0; read <= MAX_SUBMITTED_BYTES;) {
      const next = await chunks.next();
      if (next.done === true) return { start: Buffer.concat(start), rest: undefined, bytes: read, close };
      start.push(next.value);
      read += next.value.length;
    }
    const rest = { [Symbol.asyncIterator]: () => ({ next: () => chunks.next().catch(fail) }) };
    return { start: Buffer.concat(start), rest, bytes, close };
  } catch (error) {
    return fail(error);
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
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

/** The exit code of a program, or 0 for success and 1 for anything else. */
function exitCodeOf({ state, exit_code: code }: Dict): number {
  if (typeof code === 'number' && code > 0) return code;
  return state === 'succeeded' ? 0 : 1;
}

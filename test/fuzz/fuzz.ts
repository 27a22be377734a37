/**
 * `npm run fuzz -- SECONDS [SEED]`: random documents and their mutations against the codec, for 30 s unless told. Prints runs per second
 * and the seed; what fails is kept in test/fuzz/corpus, which a test replays.
 *
 * `npm run fuzz -- http [REQUESTS] [SEED] [FIRST]`: random HTTP requests, 100,000 by default, to every listener of two relays (Linux only).
 * Prints requests per second and the seed, and of a failure the numbers of the connections, which FIRST repeats.
 *
 * `npm run fuzz -- plain [REQUESTS] [SEED] [FIRST] [AT_ONCE]`: plain calls and nearly plain ones, 100,000 by default, to a relay with and
 * one without the fast path, which must behave alike; with 1 for AT_ONCE they are compared under rate limits.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { examine, examineJson } from './examine.ts';
import { document } from './generate.ts';
import { fuzzHttp } from './http.ts';
import { jsonDocument } from './json.ts';
import { mutateOften } from './mutate.ts';
import { fuzzPlain } from './plain.ts';
import { Random } from './random.ts';

const CORPUS = new URL('corpus/', import.meta.url);
const MAX_FINDINGS = 20;

/** The corpus: file name and bytes. */
export function corpus(): [name: string, body: Buffer][] {
  return readdirSync(CORPUS)
    .sort()
    .map((name) => [name, readFileSync(new URL(name, CORPUS))]);
}

/** One run with JSON: a generated text, or a mutation of one. */
export function runJsonOnce(random: Random): void {
  const body = Buffer.from(jsonDocument(random));
  const changed = random.once(3) ? body : mutateOften(body, random);
  try {
    examineJson(changed);
  } catch (error) {
    throw new Finding(changed, 'json', error);
  }
}

/** One run: a generated document, or a mutation of one or of a document of the corpus. */
export function runOnce(random: Random, kept: readonly Buffer[]): void {
  const body = kept.length > 0 && random.once(8) ? random.pick(kept) : Buffer.from(document(random));
  const changed = random.once(3) ? body : mutateOften(body, random);
  try {
    examine(changed);
  } catch (error) {
    throw new Finding(changed, 'xml', error);
  }
}

/** Bytes of which {@link examine} or {@link examineJson} says that something is wrong. */
export class Finding extends Error {
  constructor(
    readonly body: Buffer,
    readonly kind: 'xml' | 'json',
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

async function mainHttp([requests = '100000', seed = String(Date.now() % 2 ** 32), first = '0']: readonly string[]): Promise<void> {
  const start = performance.now();
  const outcome = await fuzzHttp({ requests: Number(requests), seed: Number(seed), first: Number(first) });
  const seconds = (performance.now() - start) / 1000;
  const rate = Math.round(outcome.requests / seconds);
  process.stdout.write(
    `${outcome.requests} requests over ${outcome.connections} connections in ${Math.round(seconds)} s, ${rate}/s, seed ${seed}, ` +
      `exit codes after SIGTERM: ${outcome.exitCodes.join()}\n${outcome.finding === undefined ? 'no finding' : `found: ${outcome.finding}`}\n`,
  );
  if (outcome.finding !== undefined || outcome.exitCodes.some((code) => code !== 0)) process.exitCode = 1;
}

async function mainPlain([
  requests = '100000',
  seed = String(Date.now() % 2 ** 32),
  first = '0',
  atOnce = '40',
]: readonly string[]): Promise<void> {
  const start = performance.now();
  const outcome = await fuzzPlain({ requests: Number(requests), seed: Number(seed), first: Number(first), atOnce: Number(atOnce) });
  const seconds = (performance.now() - start) / 1000;
  process.stdout.write(
    `${outcome.requests} requests over ${outcome.connections} connections in ${Math.round(seconds)} s, ` +
      `${Math.round(outcome.requests / seconds)}/s, seed ${seed}\n${outcome.finding === undefined ? 'no difference' : `found: ${outcome.finding}`}\n`,
  );
  if (outcome.finding !== undefined) process.exitCode = 1;
}

function main([seconds = '30', seed = String(Date.now() % 2 ** 32)]: readonly string[]): void {
  const random = new Random(Number(seed));
  const kept = corpus()
    .filter(([name]) => name.endsWith('.xml'))
    .map(([, body]) => body);
  const say = (line: string): boolean => process.stdout.write(`${line}\n`);
  const found = new Set<string>();
  const start = performance.now();
  const end = start + Number(seconds) * 1000;
  let runs = 0;
  for (; performance.now() < end && found.size < MAX_FINDINGS; runs++) {
    try {
      if (random.once(4)) runJsonOnce(random);
      else runOnce(random, kept);
    } catch (error) {
      if (!(error instanceof Finding)) throw error;
      // One document for each kind of finding.
      const kind = error.message.replace(/[\d"].*/s, '');
      if (found.has(kind)) continue;
      found.add(kind);
      say(`found: ${error.message}\n  ${keep(error)}: ${JSON.stringify(error.body.toString('latin1')).slice(0, 500)}`);
    }
  }
  say(`${runs} runs in ${seconds} s, ${Math.round(runs / ((performance.now() - start) / 1000))}/s, seed ${seed}, ${found.size} findings`);
  if (found.size > 0) process.exitCode = 1;
}

function keep({ body, kind }: Finding): string {
  const name = `${createHash('sha256').update(body).digest('hex').slice(0, 12)}.${kind}`;
  writeFileSync(new URL(name, CORPUS), body);
  return name;
}

if (process.argv[1] === import.meta.filename) {
  const [kind, ...others] = process.argv.slice(2);
  if (kind === 'http') await mainHttp(others);
  else if (kind === 'plain') await mainPlain(others);
  else main(process.argv.slice(2));
}

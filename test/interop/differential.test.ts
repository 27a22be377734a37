/**
 * Thousands of values through Python's xmlrpc.client in one process: it reads the value that we wrote, and we read the value that it
 * writes.
 */
import { fileURLToPath } from 'node:url';
import { inspect, isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { Double, Int64, dictOf } from '../../src/values/values.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { parseCall, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { run } from '../support/processes.ts';
import { anySent } from '../xmlrpc/arbitraries.ts';
import type { Sent } from '../xmlrpc/arbitraries.ts';

const VALUES = 3000;
const PYTHON = fileURLToPath(new URL('differential.py', import.meta.url));

type Description = null | boolean | string | readonly [kind: string, ...parts: unknown[]];

/** The description that differential.py prints of a value; `sent` tells whole doubles from ints. */
function describe(sent: Sendable, read: Value): Description {
  if (read === null || typeof read === 'boolean' || typeof read === 'string') return read;
  if (typeof read === 'bigint') return ['int', String(read)];
  if (typeof read === 'number') return isInt(sent, read) ? ['int', String(read + 0)] : ['double', read];
  if (Buffer.isBuffer(read)) return ['bytes', read.toString('base64')];
  if (read instanceof Date) return ['date', read.toISOString().slice(0, 19)];
  if (Array.isArray(read))
    return ['array', ...(read as readonly Value[]).map((value, at) => describe((sent as readonly Sendable[])[at]!, value))];
  return ['struct', ...Object.keys(read).map((name) => [name, describe(memberOf(sent, name), (read as Dict)[name]!)])];
}

function isInt(sent: Sendable, read: number): boolean {
  if (typeof sent === 'bigint' || Int64.is(sent)) return true;
  return !Double.is(sent) && (read | 0) === read && !Object.is(read, -0);
}

function memberOf(sent: Sendable, name: string): Sendable {
  return sent instanceof Map ? (sent as ReadonlyMap<string, Sendable>).get(name)! : (sent as Readonly<Record<string, Sendable>>)[name]!;
}

/** Parses a description from Python's JSON: doubles are decimal texts, and members have the order of the document. */
function normal(described: unknown): unknown {
  if (!Array.isArray(described)) return described;
  const [kind, ...parts] = described as [string, ...unknown[]];
  if (kind === 'double') return [kind, Number(parts[0])];
  if (kind === 'array') return [kind, ...parts.map(normal)];
  if (kind !== 'struct') return described;
  const members = (parts as [string, unknown][]).map(([name, part]): [string, unknown] => [name, normal(part)]);
  return [kind, ...members.sort(([a], [b]) => (a < b ? -1 : 1))];
}

/** Python writes CR unescaped, which is read as LF (XML 1.0, section 2.11); undefined if that makes two names equal. */
function withLineFeeds(value: Value): Value | undefined {
  if (typeof value === 'string') return value.replace(/\r\n?/g, '\n');
  if (Array.isArray(value)) {
    const list = (value as readonly Value[]).map(withLineFeeds);
    return list.includes(undefined) ? undefined : (list as Value[]);
  }
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value) || value instanceof Date) return value;
  const members = Object.entries(value as Dict).map(([name, part]) => [withLineFeeds(name) as string, withLineFeeds(part)] as const);
  const isWhole = new Set(members.map(([name]) => name)).size === members.length && members.every(([, part]) => part !== undefined);
  return isWhole ? dictOf(members as [string, Value][]) : undefined;
}

// Python's calendar starts in the year 1.
const hasYear0 = (value: Value): boolean => {
  if (value instanceof Date) return value.getUTCFullYear() < 1;
  if (Array.isArray(value)) return (value as readonly Value[]).some(hasYear0);
  return typeof value === 'object' && value !== null && !Buffer.isBuffer(value) && Object.values(value as Dict).some(hasYear0);
};

test(`${VALUES} values, there and back`, async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  const values: readonly Sent[] = fc.sample(
    anySent.filter(({ read }) => !hasYear0(read)),
    { numRuns: VALUES, seed },
  );
  const documents = values.map(({ sent }) => serialiseCall('m', [sent], { nil: true, i8: true }));
  const { code, stdout, stderr } = await run(t, 'python3', [PYTHON], {
    input: documents.map((body) => `${body.toString('base64')}\n`).join(''),
  }).exit;
  t.is(code, 0, stderr.join('\n'));
  t.is(stdout.length, VALUES);
  let back = 0;
  values.forEach(({ sent, read }, at) => {
    const [described, document] = JSON.parse(stdout[at]!) as [unknown, string];
    const about = `SEED=${seed}, value ${at}: ${documents[at]!.toString().slice(0, 500)}`;
    if (!isDeepStrictEqual(normal(described), normal(describe(sent, read)))) {
      t.fail(`Python reads ${inspect(normal(described))} for ${inspect(normal(describe(sent, read)))}: ${about}`);
    }
    const expected = withLineFeeds(read);
    if (expected === undefined) return;
    back++;
    const again = parseCall(Buffer.from(document, 'base64')).params[0];
    if (!isDeepStrictEqual(again, expected)) t.fail(`we read ${inspect(again)} for ${inspect(expected)} of Python's: ${about}`);
  });
  t.true(back > VALUES * 0.9, String(back));
});

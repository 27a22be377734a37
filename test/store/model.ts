/** A model of the store: random steps, and what may be there after each of them. */
import { isDeepStrictEqual } from 'node:util';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { Store, StoreOperation } from '../../src/store/store.ts';
import type { Machine } from './disks.ts';
import { entriesOf, recordsOf } from './disks.ts';

const LOGS = ['one', 'two'];
const TABLES = ['states', 'cursors'];

const text = fc.string({ maxLength: 8 });
const value = text.map((one) => Buffer.from(one));
const key = fc.constantFrom('a', 'b', 'é', 'a/1');
const log = fc.constantFrom(...LOGS);
const table = fc.constantFrom(...TABLES);
const operation: fc.Arbitrary<StoreOperation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('append' as const), log, value }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('put' as const), table, key, value }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), table, key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('trim' as const), log, through: fc.nat({ max: 20 }) }) },
);
const batch = fc.record({
  operations: fc.array(operation, { maxLength: 4 }),
  durability: fc.constantFrom('synced' as const, 'written' as const),
});

/** One thing that happens to a machine. */
export type Step =
  | { readonly type: 'write'; readonly batches: readonly Batch[] }
  | { readonly type: 'crash'; readonly kept: number }
  | { readonly type: 'restart' };
type Batch = typeof batch extends fc.Arbitrary<infer T> ? T : never;

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('write' as const), batches: fc.array(batch, { minLength: 1, maxLength: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('crash' as const), kept: fc.nat({ max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const) }) },
);

interface Model {
  readonly logs: Readonly<Record<string, { readonly first: number; readonly records: readonly string[] }>>;
  readonly tables: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const EMPTY: Model = {
  logs: Object.fromEntries(LOGS.map((name) => [name, { first: 1, records: [] }])),
  tables: Object.fromEntries(TABLES.map((name) => [name, {}])),
};

/** Runs the steps; after each of them the store holds the model, and after a crash a state between the last sync and the last write. */
export async function runModel(t: ExecutionContext, machine: Machine, steps: readonly Step[]): Promise<void> {
  let { store, events } = await machine.start();
  // The first is synced; each of the others is a commit more.
  let states: [Model, ...Model[]] = [EMPTY];
  for (const one of steps) {
    if (one.type === 'write') {
      await Promise.all(one.batches.map(({ operations, durability }) => store.write(operations, { durability })));
      const next = one.batches.flatMap(({ operations }) => operations).reduce(apply, states.at(-1) ?? EMPTY);
      states = one.batches.some(({ durability }) => durability === 'synced') ? [next] : [...states, next];
    } else {
      if (one.type === 'restart') await store.close();
      else await machine.crash(one.kept);
      ({ store, events } = await machine.start());
      const found = await modelOf(store);
      const candidates = one.type === 'restart' ? states.slice(-1) : states;
      const match = candidates.find((state) => isDeepStrictEqual(state, found));
      if (!match) t.deepEqual(found, candidates.at(-1));
      // What was read after a start is on the disk: no later crash takes it back.
      states = one.type === 'restart' ? states : [match ?? EMPTY];
    }
    t.deepEqual(await modelOf(store), states.at(-1));
    t.deepEqual(events, []);
  }
}

function apply(model: Model, operation: StoreOperation): Model {
  if (operation.type === 'put' || operation.type === 'delete') {
    const { [operation.key]: _, ...others } = model.tables[operation.table] ?? {};
    const entries = operation.type === 'put' ? { ...others, [operation.key]: operation.value.toString() } : others;
    return { ...model, tables: { ...model.tables, [operation.table]: entries } };
  }
  const { first, records } = model.logs[operation.log] ?? { first: 1, records: [] };
  const next = first + records.length;
  const forgotten = operation.type === 'trim' ? Math.min(Math.max(operation.through + 1 - first, 0), records.length) : 0;
  const changed =
    operation.type === 'append'
      ? { first, records: [...records, `${next}:${operation.value.toString()}`] }
      : { first: first + forgotten, records: records.slice(forgotten) };
  return { ...model, logs: { ...model.logs, [operation.log]: changed } };
}

async function modelOf(store: Store): Promise<Model> {
  const logs = LOGS.map(async (name) => [name, { first: store.range(name).first, records: await recordsOf(store, name) }] as const);
  const tables = TABLES.map(async (name) => [name, Object.fromEntries((await entriesOf(store, name)).map((one) => cut(one)))] as const);
  return { logs: Object.fromEntries(await Promise.all(logs)), tables: Object.fromEntries(await Promise.all(tables)) };
}

function cut(entry: string): [string, string] {
  const end = entry.indexOf('=');
  return [entry.slice(0, end), entry.slice(end + 1)];
}

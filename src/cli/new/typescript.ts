/** A plugin in TypeScript, and its test. */
import { fileOf } from './new-plugin.ts';
import type { NewFile, NewPlugin } from './new-plugin.ts';

export function typescriptFiles(plugin: NewPlugin): readonly NewFile[] {
  return [
    { path: `${plugin.path}.ts`, source: satellite(plugin) },
    { path: `${plugin.path}.test.ts`, source: test(plugin) },
  ];
}

function satellite({ module, className }: NewPlugin): string {
  return `/** ${module}: say here what it is for. */
import { Exposed, Plugin, Satellite, type Context, type Dict } from 'co2-relay';

/** Answers every ping, and counts them. */
@Satellite()
export class ${className} extends Plugin {
  #pings = 0;

  /** Called for each dict of the network, one after the other. */
  override async receive(dict: Dict, context: Context): Promise<void> {
    if (dict.data !== 'ping') return;
    this.#pings++;
    await this.send({ data: { pong: dict.host_id, hops: context.hops } });
  }

  /** Answers how many pings came. A comment like this one is the method's help. */
  @Exposed({ params: [], returns: 'int' })
  pings(): number {
    return this.#pings;
  }

  /** Adds two numbers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number): number {
    return a + b;
  }
}
`;
}

function test({ path, module, className }: NewPlugin): string {
  const file = fileOf(path);
  return `/** Tests of ${module}: a relay in memory runs it. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createTestRelay, type TestRelay } from 'co2-relay/testing';
import { ${className} } from './${file}.ts';

async function start(t: TestContext): Promise<TestRelay> {
  const relay = await createTestRelay({ plugins: { '${module}': ${className} } });
  t.after(() => relay.stop());
  return relay;
}

test('a ping is answered and counted', async (t) => {
  const relay = await start(t);
  await relay.deliver({ data: 'ping', host_id: 'ann@192.0.2.7:2004' });
  assert.deepEqual((await relay.nextSent()).data, { pong: 'ann@192.0.2.7:2004', hops: 0 });
  assert.equal(await relay.call('${module}.pings'), 1);
});

test('anything else is left alone', async (t) => {
  const relay = await start(t);
  await relay.deliver({ data: 'hello' });
  assert.deepEqual([relay.sent, relay.errors], [[], []]);
});

test('two numbers are added, and anything else is refused', async (t) => {
  const relay = await start(t);
  assert.equal(await relay.call('${module}.add', [2, 3]), 5);
  await assert.rejects(relay.call('${module}.add', ['2', 3]), /parameter 1 is a string, expected int/);
});
`;
}

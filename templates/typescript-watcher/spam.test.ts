/** Tests of ham.spam: run it in an in-memory relay. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTestRelay, type TestRelay } from 'co2-relay/testing';
import { Spam } from './spam.ts';

function temporaryFile(t: TestContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'spam-'));
  t.after(() => {
    rmSync(directory, { recursive: true });
  });
  writeFileSync(join(directory, 'nodes'), text);
  return join(directory, 'nodes');
}

async function start(t: TestContext, file: string): Promise<TestRelay> {
  const services = { web: { watchers: { one: { type: 'ham.spam', cfg: { file, intervalMs: 10 } } } } };
  const relay = await createTestRelay({ plugins: { 'ham.spam': Spam }, config: { services } });
  t.after(() => relay.stop());
  return relay;
}

interface Status {
  readonly up: number;
  readonly down: number;
  readonly nodes: object;
}

/** The service, once this many of its nodes are up. */
async function status(relay: TestRelay, up: number): Promise<Status> {
  for (;;) {
    const found = (await relay.call('service.status', ['web'])) as unknown as Status;
    if (found.up === up) return found;
    await sleep(10);
  }
}

test('reports the nodes in a file, and what changes', async (t) => {
  const file = temporaryFile(t, 'web1 10.0.0.1 80\nweb2 10.0.0.2 80\n');
  const relay = await start(t, file);
  assert.deepEqual((await status(relay, 2)).nodes, {
    web1: { name: 'web1', status: 'up', host: '10.0.0.1', port: 80 },
    web2: { name: 'web2', status: 'up', host: '10.0.0.2', port: 80 },
  });
  writeFileSync(file, 'web2 10.0.0.2 80\n');
  assert.deepEqual(Object.keys((await status(relay, 1)).nodes), ['web2']);
});

test('refuses a file that is not there', async (t) => {
  await assert.rejects(start(t, '/nowhere/nodes'), /web\.watchers\.one: .*ENOENT/);
});

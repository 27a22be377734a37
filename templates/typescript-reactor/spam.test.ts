/** Tests of ham.spam: run it in an in-memory relay, with a watcher that reports what the test says. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Plugin, Satellite, Watcher, type WatcherReport } from 'co2-relay';
import { createTestRelay } from 'co2-relay/testing';
import { Spam } from './spam.ts';

@Satellite()
class Script extends Plugin {
  /** Yields the reports of `cfg.reports`, and waits. */
  @Watcher()
  nodes({ reports }: { readonly reports: readonly WatcherReport[] }) {
    return {
      async *watch(signal: AbortSignal) {
        yield* reports;
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve);
        });
      },
    };
  }
}

/** What the file holds once the relay has stopped, which lets reactors process what waits. */
async function written(t: TestContext, reports: readonly Record<string, Record<string, string | number>>[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'spam-'));
  t.after(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, 'nodes');
  const web = { watchers: { script: { type: 'test.script', cfg: { reports } } }, reactors: { one: { type: 'ham.spam', cfg: { file } } } };
  const relay = await createTestRelay({ plugins: { 'ham.spam': Spam, 'test.script': Script }, config: { services: { web } } });
  for (let seen = 0; seen < reports.length;) {
    const status = (await relay.call('service.status', ['web'])) as unknown as {
      readonly watchers: readonly { readonly reports: number }[];
    };
    seen = status.watchers[0]?.reports ?? 0;
    await sleep(10);
  }
  await relay.stop();
  return readFileSync(file, 'utf8');
}

test('writes the nodes that are up', async (t) => {
  const [up, down] = [{ status: 'up', host: '10.0.0.1', port: 80 }, { status: 'down' }];
  assert.equal(await written(t, [{ web1: up, web2: up }]), 'web1 10.0.0.1 80\nweb2 10.0.0.1 80\n');
  assert.equal(await written(t, [{ web1: up, web2: up }, { web1: down }]), 'web2 10.0.0.1 80\n');
});

test('refuses a relative path', async () => {
  const web = { reactors: { one: { type: 'ham.spam', cfg: { file: 'nodes' } } } };
  await assert.rejects(createTestRelay({ plugins: { 'ham.spam': Spam }, config: { services: { web } } }), /expected an absolute path/);
});

/** A hop between our relays: one sends, the others are its peers and each have one satellite. */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRelay } from '../../src/create-relay.ts';
import type { EmbeddedConfig, RunningRelay } from '../../src/create-relay.ts';
import { Plugin, Satellite } from '../../src/plugin/plugin.ts';
import type { Hop } from './hop.ts';

const unlimited = { perSecond: 1e9, burst: 1e9 };

async function start(config: EmbeddedConfig): Promise<RunningRelay> {
  const directory = mkdtempSync(join(tmpdir(), 'co2-bench-hop-'));
  const [dataDir, pluginsDir] = [join(directory, 'state'), join(directory, 'plugins')];
  mkdirSync(pluginsDir);
  return createRelay({
    ...{ dataDir, host: '127.0.0.1', peerPingIntervalMs: 0, log: { level: 'warn' } },
    // No plugins but the counter.
    ...{ pluginsDir, bundled: [], pluginPackages: false, watch: false },
    limits: { anonymous: unlimited, local: unlimited, peer: unlimited, satellite: unlimited, token: unlimited },
    ...config,
  });
}

/** Resolves once this many nodes of the mesh are linked to the relay. */
function linked(relay: RunningRelay, count: number): Promise<void> {
  const up = new Set<string>();
  return new Promise((resolve) => {
    const end = relay.on('mesh.link', ({ node, state }) => {
      if (state === 'up') up.add(node);
      else up.delete(node);
      if (up.size < count) return;
      end();
      resolve();
    });
  });
}

/** `isDurable`: each dict is acknowledged once it is on the disk of the sender, by as many at once as a store writes together. */
export function meshHop(isDurable: boolean): Hop {
  return {
    concurrency: isDurable ? 1_024 : 16,
    isStored: isDurable,
    receive: ({ count, port, onDict }) => {
      @Satellite()
      class Counter extends Plugin {
        override receive(): void {
          onDict();
        }
      }
      const one = async (): Promise<number> =>
        Number(new URL((await start({ port: 0, peers: [`http://127.0.0.1:${port}`], satellites: { 'bench.counter': Counter } })).url).port);
      return Promise.all(Array.from({ length: count }, one));
    },
    send: async ({ port, receivers }) => {
      const relay = await start({ port, peers: receivers.map((receiver) => `http://127.0.0.1:${receiver}`) });
      await linked(relay, receivers.length);
      return (dict) => relay.notify({ ...dict }, { durable: isDurable });
    },
  };
}

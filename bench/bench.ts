/**
 * `npm run bench -- rpc|reload|host|store|start|work|streams|services|relay|mesh-core [--quick] [--json]`: measures and prints a table.
 * Fails only if something breaks: the figures are not tests.
 */
import { parseArgs } from 'node:util';
import { host } from './host.ts';
import { meshCore } from './mesh-core.ts';
import { relay } from './relay.ts';
import { reload } from './reload.ts';
import { rpc } from './rpc.ts';
import { services } from './services.ts';
import { store } from './store.ts';
import { start } from './start.ts';
import { streams } from './streams.ts';
import { printTable } from './table.ts';
import { work } from './work.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
});
const benchmarks = new Map([
  ['rpc', rpc],
  ['reload', reload],
  ['host', host],
  ['store', store],
  ['start', start],
  ['work', work],
  ['streams', streams],
  ['services', services],
  ['relay', relay],
  ['mesh-core', meshCore],
]);
const measure = positionals.length === 1 ? benchmarks.get(positionals[0] ?? '') : undefined;
if (!measure) throw new Error(`which benchmark? npm run bench -- ${[...benchmarks.keys()].join('|')} [--quick] [--json]`);

const report = await measure({
  isQuick: values.quick,
  say: (text) => {
    console.error(text);
  },
});
if (values.json) console.log(JSON.stringify(report, null, 2));
else printTable(report);

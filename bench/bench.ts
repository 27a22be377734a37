/** `npm run bench -- rpc [--quick] [--json]`: measures, prints a table, and fails only where something breaks: figures are no tests. */
import { parseArgs } from 'node:util';
import { rpc } from './rpc.ts';
import { printTable } from './table.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
});
if (positionals.length !== 1 || positionals[0] !== 'rpc')
  throw new Error('there is one benchmark: npm run bench -- rpc [--quick] [--json]');

const report = await rpc({
  isQuick: values.quick,
  say: (text) => {
    console.error(text);
  },
});
if (values.json) console.log(JSON.stringify(report, null, 2));
else printTable(report);

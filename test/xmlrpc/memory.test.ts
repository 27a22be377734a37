/** Values that are kept do not keep their document alive. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import type { Dict } from '../../src/values/values.ts';
import { parseCall } from '../../src/xmlrpc/xmlrpc.ts';

test('forty small dicts from forty requests of 4 MB take less memory than one request', (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const padding = `<!--${'x'.repeat(4_000_000)}-->`;
  const kept: unknown[] = [];
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let count = 0; count < 40; count++) {
    const struct = `<struct><member><name>data</name><value><string>a text of more than thirteen characters, ${count}</string></value></member></struct>`;
    const body = Buffer.from(
      `<methodCall>${padding}<methodName>notify</methodName><params><param><value>${struct}</value></param></params></methodCall>`,
    );
    const call = parseCall(body);
    const dict = call.params[0] as Dict;
    t.is(call.sourceOf(dict)?.toString(), struct);
    kept.push(dict, call.sourceOf(dict));
  }
  collect();
  t.true(process.memoryUsage().heapUsed - before < 4_000_000);
  t.is(kept.length, 80);
});

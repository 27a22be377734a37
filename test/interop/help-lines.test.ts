/** The command lines that the help offers for copying: pasted into a shell, Python and Node, they call the relay. */
import test from 'ava';
import { callExamples } from '../../src/http/call-examples.ts';
import type { CallExamples } from '../../src/http/call-examples.ts';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';

const KINDS = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Kinds extends Plugin {
  @Exposed({ params: ['int', 'i8', 'double', 'boolean', 'string', 'nil', 'array', 'struct', 'base64', 'dateTime.iso8601'], returns: 'string' })
  import(...all: unknown[]) { return 'got ' + JSON.stringify(all); }
  @Exposed({ params: ['int', 'double', 'boolean', 'string', 'array'], returns: 'array' })
  list(...all: unknown[]) { return all; }
}
`;
const GOT =
  'got [2,2,1.5,true,"hello",null,[1,2],{"data":"hello"},{"type":"Buffer","data":[104,101,108,108,111]},"1970-01-01T00:00:00.000Z"]';

test.serial('lines with a value of every type, for a method whose name is a word of Python', async (t) => {
  const { url, cwd } = await startCo2(t, { files: { 'plugins/ham/kinds.ts': KINDS } });
  const [{ signatures, calls }] = await methodsOf(url, 'ham.kinds.import');
  t.deepEqual(calls, callExamples({ name: 'ham.kinds.import', signatures }, url));
  const text = await (await fetch(`${url}/RPC2`)).text();
  for (const line of Object.values(calls) as string[]) t.true(text.includes(line));
  const node = [`--import=${PROJECT_DIR}src/loader/from-source.mjs`, '--input-type=module', '-e', calls.typescript];
  const programs: readonly (readonly [command: string, args: readonly string[]])[] = [
    ['sh', ['-c', `${calls.curl} --silent`]],
    ['sh', ['-c', `${calls.json} --silent`]],
    ['python3', ['-c', calls.python]],
    [process.execPath, node],
  ];
  for (const [command, args] of programs) {
    const { code, stdout, stderr } = await run(t, command, args, { cwd: command === process.execPath ? PROJECT_DIR : cwd }).exit;
    t.deepEqual([code, stderr], [0, []], command);
    t.true(
      stdout
        .join('')
        .replaceAll(/&quot;|\\"/g, '"')
        .includes(GOT),
      stdout.join(''),
    );
  }
  const [{ calls: plain }] = await methodsOf(url, 'ham.kinds.list');
  const command = `co2() { '${process.execPath}' '${PROJECT_DIR}bin/co2.mjs' "$@"; }; ${plain.co2} --json`;
  const listed = await run(t, 'sh', ['-c', command], { cwd }).exit;
  t.deepEqual(JSON.parse(listed.stdout.join('')), [2, 1.5, true, 'hello', [1, 2]]);
});

async function methodsOf(url: string, method: string): Promise<[{ signatures: string[][]; calls: CallExamples }]> {
  const answer = await fetch(`${url}/RPC2?method=${method}`, { headers: { accept: 'application/json' } });
  return ((await answer.json()) as { methods: [{ signatures: string[][]; calls: CallExamples }] }).methods;
}

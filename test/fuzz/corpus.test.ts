/** The fuzzer's corpus, and a short run with a fixed seed. */
import test from 'ava';
import { examine, examineJson } from './examine.ts';
import { Finding, corpus, runJsonOnce, runOnce } from './fuzz.ts';
import { Random } from './random.ts';

for (const [name, body] of corpus()) {
  test(`corpus: ${name}`, (t) => {
    t.notThrows(() => {
      if (name.endsWith('.json')) examineJson(body);
      else examine(body);
    });
  });
}

test('a thousand random documents and mutations', (t) => {
  const random = new Random(1);
  const kept = corpus().map(([, body]) => body);
  for (let run = 0; run < 1000; run++) {
    try {
      runOnce(random, kept);
    } catch (error) {
      if (!(error instanceof Finding)) throw error;
      t.fail(`run ${run}: ${error.message}: ${JSON.stringify(error.body.toString('latin1'))}`);
      return;
    }
  }
  t.pass();
});

test('a thousand random JSON texts and mutations', (t) => {
  const random = new Random(1);
  for (let run = 0; run < 1000; run++) {
    try {
      runJsonOnce(random);
    } catch (error) {
      if (!(error instanceof Finding)) throw error;
      t.fail(`run ${run}: ${error.message}: ${JSON.stringify(error.body.toString('utf8'))}`);
      return;
    }
  }
  t.pass();
});

/** Methods of plugins that fail: what callers, administrators and the log of the plugin get. */
import test from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';

const PLUGIN = (isolation: string): string => `
  import { Exposed, Plugin, Satellite } from 'co2-relay';
  @Satellite({ isolation: '${isolation}' })
  export class Failing extends Plugin {
    @Exposed() broken() {
      throw new TypeError('no such colour');
    }
    @Exposed() async late() {
      await undefined;
      throw new Error('too late');
    }
    @Exposed() set() { return { tags: new Set(['red']) }; }
    @Exposed({ returns: 'int' }) wrong() { return 'red'; }
    @Exposed() slow() { return new Promise(() => undefined); }
  }`;

for (const isolation of ['inline', 'child']) {
  test(`a failed method is in the log of its plugin and is its last error, and administrators get the reason (${isolation})`, async (t) => {
    const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': PLUGIN(isolation) }), callTimeoutMs: 2_000 });
    const admin = new XmlRpcClient(new URL(relay.url), { token: relay.adminToken });
    t.teardown(() => admin.close());
    const logged = async (): Promise<string> => {
      const lines = (await admin.call('plugin.log', ['ham.spam', 100])) as readonly { readonly text: string }[];
      return lines.map(({ text }) => text).join('\n');
    };
    const lastError = async (): Promise<unknown> => ((await admin.call('plugin.info', ['ham.spam'])) as { last_error: string }).last_error;

    for (const [method, reason] of [
      ['broken', 'no such colour (ham/spam.ts:6:13)'],
      ['late', 'too late (ham/spam.ts:10:13)'],
    ] as const) {
      const refused = await t.throwsAsync(relay.call(`ham.spam.${method}`), { code: -32500 } as never);
      const [, id = ''] =
        /\(error ([0-9a-f]{8})\): the log of the plugin has the reason \(co2 plugin log ham\.spam\)$/.exec(refused.message) ?? [];
      t.true((await logged()).includes(`ham.spam.${method} failed (error ${id}): ${reason}`), `${refused.message}\n${await logged()}`);
      t.is(await lastError(), `ham.spam.${method}: ${reason}`);
      const shown = await t.throwsAsync(admin.call(`ham.spam.${method}`));
      t.true(shown.message.endsWith(reason), shown.message);
    }

    const message = /ham\.spam\.set: result\.tags: an instance of Set cannot be sent/;
    await t.throwsAsync(relay.call('ham.spam.set'), { code: -32603, message } as never);
    t.regex(String(await lastError()), /^ham\.spam\.set: result\.tags: an instance of Set/);
    await t.throwsAsync(relay.call('ham.spam.wrong'));
    t.regex(String(await lastError()), /^ham\.spam\.wrong: .*a string.*declares int/);
    await t.throwsAsync(relay.call('ham.spam.slow'));
    t.regex(String(await lastError()), /^ham\.spam\.slow: .*2000 ms/);
    t.is((await logged()).match(/failed/g)?.length, 7);
  });
}

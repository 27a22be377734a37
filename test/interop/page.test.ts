/** The page of a relay in a real Chromium: what people see, call, copy and search there, and what a hostile text or page cannot do. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { chromium } from 'playwright-core';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import type { Config } from '../../src/config/config.ts';
import { run } from '../support/processes.ts';
import { freePorts, pluginsDir, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const HOSTILE = `"'><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;

const PLUGIN = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Spam extends Plugin {
  /**
   * Adds two numbers.
   * Long help on a second line.
   */
  @Exposed({ params: ['int', 'double'], returns: 'double' })
  add(a: number, b: number) { return a + b; }

  /** Describes what it gets. */
  @Exposed({ params: ['i8', 'boolean', 'string', 'struct', 'base64', 'dateTime.iso8601', 'nil'], returns: 'string' })
  describe(...all: unknown[]) {
    return all.map((one) => Buffer.isBuffer(one) ? 'bytes ' + one.toString() : one instanceof Date ? one.toISOString() : typeof one === 'bigint' ? one + 'n' : JSON.stringify(one)).join(' ');
  }

  /** ${HOSTILE} */
  @Exposed()
  hostile(...all: unknown[]) { if (all.length > 0) return all; throw new Fault(42, ${JSON.stringify(HOSTILE)}); }
}
`;

// By its path: Debian's chromium, which .ci/run installs.
const launching = chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
test.after.always(async () => {
  await (await launching).close();
});

interface Opened {
  readonly page: Page;
  /** Errors of the script, and violations of the content security policy. */
  readonly problems: readonly string[];
}

async function open(t: ExecutionContext, url: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await (await launching).newContext(options);
  t.teardown(() => context.close());
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    // A fault has an HTTP status, which the browser reports as well.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) problems.push(message.text());
  });
  await page.goto(url);
  return { page, problems };
}

function relayWithPlugin(t: ExecutionContext, more: Config = {}): Promise<TestRelay> {
  return startRelay(t, { ...more, pluginsDir: pluginsDir(t, { 'ham/spam.ts': PLUGIN }) });
}

/** The section of a method, opened by a click as a person would. */
async function methodOf(page: Page, name: string): Promise<Locator> {
  const section = page.locator(`section[id="${name}"]`);
  await section.locator('summary').first().click();
  return section;
}

/** Submits the form of a method with these texts in its fields, and returns the state and the answer that the page shows. */
async function callOn(section: Locator, texts: readonly (string | undefined)[] = []): Promise<readonly [state: string, answer: string]> {
  const form = section.locator('form').first();
  for (const [index, text] of texts.entries()) if (text !== undefined) await form.locator('[data-type]').nth(index).fill(text);
  await form.locator('button').click();
  await form.locator('output pre').waitFor();
  const state = await form.locator('output .state').innerText();
  return [state.replace(/\d+ ms$/, 'N ms'), await form.locator('output pre').innerText()];
}

test('methods are called by their forms: every type arrives as it was written, and mistakes and faults are shown', async (t) => {
  const { url } = await relayWithPlugin(t);
  const { page, problems } = await open(t, url);
  const add = await methodOf(page, 'ham.spam.add');
  t.true((await add.innerText()).includes('Long help on a second line.'));
  t.deepEqual(await callOn(add), ['answered in N ms', '3.5']);
  t.deepEqual(await callOn(add, ['40', '2']), ['answered in N ms', '42.0']);
  t.deepEqual(await callOn(add, ['4x']), ['not called', '"4x" is not a whole number']);
  t.deepEqual(await callOn(add, ['4', '']), ['not called', '"" is not a number']);
  const [state, text] = await callOn(add, ['99999999999', '1']);
  t.is(state, 'fault -32602');
  t.regex(text, /^ham\.spam\.add: parameter 1 is an integer beyond 32 bits/);

  const describe = await methodOf(page, 'ham.spam.describe');
  t.is(
    (await callOn(describe))[1].replace('2n', '2'),
    JSON.stringify('2 true "hello" {"data":"hello"} bytes hello 1970-01-01T00:00:00.000Z null'),
  );
  await describe.locator('input[type=checkbox]').uncheck();
  t.is(
    JSON.parse((await callOn(describe, ['9007199254740993', undefined, 'a "quoted"\nline', '{"a": [1, {}]}', 'AQ==']))[1]),
    '9007199254740993n false "a \\"quoted\\"\\nline" {"a":[1,{}]} bytes \u0001 1970-01-01T00:00:00.000Z null',
  );
  t.regex((await callOn(describe, [undefined, undefined, undefined, '{a: 1}']))[1], /"\{a: 1\}" is not JSON/);

  const notify = await (async () => {
    await page.locator('#search').fill('notify');
    return methodOf(page, 'notify');
  })();
  t.deepEqual(await callOn(notify), ['answered in N ms', 'true']);
  t.deepEqual(problems, []);
});

test('hostile names, help and answers are text; nothing of them runs', async (t) => {
  const { url } = await relayWithPlugin(t);
  const { page, problems } = await open(t, url);
  const hostile = await methodOf(page, 'ham.spam.hostile');
  t.true((await hostile.innerText()).includes(HOSTILE));
  t.deepEqual(await callOn(hostile), ['fault 42', HOSTILE]);
  t.true((await callOn(hostile, [JSON.stringify([HOSTILE])]))[1].includes('<img src=x'));
  await page.locator('#search').fill(HOSTILE);
  t.is(await page.evaluate('window.hacked'), undefined);
  t.is(await page.locator('img').count(), 0);
  t.deepEqual(problems, []);
});

test('search finds methods by name and help, the methods of the relay are folded, and a link opens the method that it names', async (t) => {
  const { url } = await relayWithPlugin(t);
  const { page, problems } = await open(t, url);
  const isShown = (name: string): Promise<boolean> => page.locator(`section[id="${name}"] summary`).first().isVisible();
  t.deepEqual([await isShown('ham.spam.add'), await isShown('ping')], [true, false]);
  await page.keyboard.press('/');
  await page.keyboard.type('PING relay alive');
  t.true(await page.locator('#none').isVisible());
  await page.locator('#search').fill('two numbers');
  t.deepEqual([await isShown('ham.spam.add'), await isShown('ham.spam.describe')], [true, false]);
  await page.locator('#search').fill('ping');
  t.true(await isShown('ping'));
  await page.locator('#search').fill('');
  t.deepEqual([await isShown('ham.spam.describe'), await isShown('ping')], [true, false]);
  await page.goto(`${url}/#system.multicall`);
  t.true(await page.locator('section[id="system.multicall"] form').first().isVisible());
  await page.goto(`${url}/RPC2?method=ham.spam.add`);
  t.deepEqual(await callOn(page.locator('section[id="ham.spam.add"]')), ['answered in N ms', '3.5']);
  t.deepEqual(problems, []);
});

test('a line that is copied calls the method when it is pasted into a shell, without https as well', async (t) => {
  const relay = await relayWithPlugin(t);
  const { origin } = new URL(relay.url);
  for (const permissions of [['clipboard-read', 'clipboard-write'], ['clipboard-read']]) {
    const { page, problems } = await open(t, relay.url);
    // Without https there is no clipboard in the navigator of another machine.
    if (permissions.length === 1) await page.evaluate(`Object.defineProperty(navigator, 'clipboard', { value: undefined })`);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin });
    const add = await methodOf(page, 'ham.spam.add');
    await add.locator('summary', { hasText: 'Call it from a program' }).click();
    const [curl] = await add.locator('.example').all();
    await curl!.locator('button').click();
    await curl!.locator('button', { hasText: 'Copied' }).waitFor();
    const other = await page.context().newPage();
    await other.goto(relay.url);
    const line = String(await other.evaluate('navigator.clipboard.readText()'));
    t.regex(line, /^curl -H 'Content-Type: application\/json' -d '\[2,1\.5\]' http:/);
    const { stdout } = await run(t, 'sh', ['-c', `${line} --silent`]).exit;
    t.deepEqual(stdout, ['3.5']);
    t.deepEqual(problems, []);
  }
});

test('the page shows the states of peers and plugins; a token adds causes and rights, and a wrong one is reported', async (t) => {
  const [closed = 0] = await freePorts(1);
  const plugins = pluginsDir(t, { 'ham/spam.ts': PLUGIN, 'ham/eggs.ts': 'export const broken = ;' });
  const relay = await startRelay(t, { pluginsDir: plugins, peers: [`http://127.0.0.1:${closed}`] });
  const { page, problems } = await open(t, relay.url);
  const live = page.locator('#live');
  await live.locator('.bad', { hasText: 'never reached' }).waitFor();
  t.regex(await live.innerText(), /never reached[^]*ham\.eggs\s+inline\s+not-loaded[^]*0 remote satellites/);

  await page.locator('#search').fill('relay.get_peers');
  t.is((await callOn(await methodOf(page, 'relay.get_peers')))[0], 'fault 403');
  await page.locator('.token input').fill('wrong');
  await page.locator('.token button').click();
  await page.locator('.message', { hasText: 'the presented token is wrong' }).waitFor();
  await page.locator('.token input').fill(relay.adminToken);
  await page.locator('.token button').click();
  await live.locator('th', { hasText: 'Last error' }).waitFor();
  t.is(await page.locator('.message').innerText(), '');
  await page.locator('#search').fill('relay.get_peers');
  const [state, answer] = await callOn(await methodOf(page, 'relay.get_peers'));
  t.is(state, 'answered in N ms');
  t.regex(answer, new RegExp(`"peer": ?"http://127\\.0\\.0\\.1:${closed}"`));
  t.deepEqual(problems, []);
});

test('the page follows the states while it is visible, keeps input and focus, and stops after failures with one line', async (t) => {
  const port = (await freePorts(1))[0]!;
  const relay = await relayWithPlugin(t, { port });
  const { page, problems } = await open(t, 'about:blank');
  await page.clock.install();
  let asked = 0;
  page.on('request', (request) => {
    if (request.url().endsWith('?part=state')) asked++;
  });
  const answered = () => page.waitForResponse(/\?part=state$/);
  await page.goto(relay.url);
  const live = page.locator('#live');
  t.regex(await live.innerText(), /ham\.spam\s+inline\s+ready/);
  const add = await methodOf(page, 'ham.spam.add');
  const field = add.locator('[data-type]').first();
  await field.fill('123');
  // A visible page sees a satellite that joins and a plugin that stops.
  await relay.call('relay.register', { nick: 'joined', port: 1 });
  await relay.callDirectly('plugin.stop', 'ham.spam');
  await page.clock.runFor(5000);
  await live.locator('h3', { hasText: '1 remote satellite' }).waitFor();
  t.regex(await live.innerText(), /ham\.spam\s+inline\s+stopped[^]*joined/);
  t.is(await field.inputValue(), '123');
  t.is(await page.evaluate('document.activeElement.dataset.type'), 'int');
  // The focus of a link in a part that is replaced.
  await live.locator('a', { hasText: 'ham.spam' }).focus();
  await relay.callDirectly('plugin.start', 'ham.spam');
  await page.clock.runFor(5000);
  await live.locator('.good', { hasText: 'ready' }).waitFor();
  t.is(await page.evaluate('document.activeElement.textContent'), 'ham.spam');
  // A hidden page does not ask; it does at once when it is shown.
  const setVisibility = (state: string): Promise<unknown> =>
    page.evaluate(
      `Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`,
    );
  await setVisibility('hidden');
  const before = asked;
  await page.clock.runFor(60_000);
  t.is(asked, before);
  const shown = answered();
  await setVisibility('visible');
  await page.clock.runFor(1);
  await shown;
  await relay.stop();
  for (let n = 1; n <= 3; n++) {
    const failed = page.waitForEvent('requestfailed');
    await page.clock.runFor(5000);
    await failed;
  }
  const message = page.locator('.message');
  await message.filter({ hasText: /^The states are no longer updated \(.+\)\. Press Refresh to try again\.$/ }).waitFor();
  const stopped = asked;
  await page.clock.runFor(60_000);
  t.is(asked, stopped);
  // Refresh goes on once the relay is back.
  await relayWithPlugin(t, { port });
  await page.locator('#refresh').click();
  await live.locator('h3', { hasText: '0 remote satellites' }).waitFor();
  t.is(await message.innerText(), '');
  const again = answered();
  await page.clock.runFor(5000);
  t.true((await again).ok());
  t.deepEqual(problems, []);
});

test('a node that joins the mesh appears, and leaves the other states in their places', async (t) => {
  const ports = await freePorts(2);
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const near = await relayWithPlugin(t, { port: ports[0]!, nick: 'near', peers: [urls[1]!] });
  const { page, problems } = await open(t, 'about:blank');
  await page.clock.install();
  await page.goto(near.url);
  const live = page.locator('#live');
  t.notRegex(await live.innerText(), /Nodes/);
  const joined = near.events.next(({ type }) => type === 'node.up');
  await startRelay(t, { port: ports[1]!, nick: HOSTILE.slice(0, 60), peers: [urls[0]!] });
  await joined;
  await page.clock.runFor(5000);
  await live.locator('h3', { hasText: 'Nodes' }).waitFor();
  const headings = await live.locator('h3').allInnerTexts();
  t.deepEqual(headings, ['Peers', 'Plugins', 'Nodes', '0 remote satellites']);
  t.regex(await live.innerText(), /Nodes[^]*"'><img src=x.*\sreachable\s+a link, \d+ ms[^]*near\s+\S+…\s+self\s/);
  t.is(await page.evaluate('window.hacked'), undefined);
  t.deepEqual(problems, []);
});

test('it fits a phone, in light and dark, and can be read without its script', async (t) => {
  const { url } = await relayWithPlugin(t, {
    peers: [`http://a-peer-with-a-very-long-name.${'x'.repeat(40)}.example:2004`],
    peerPingIntervalMs: 0,
  });
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, problems } = await open(t, url, { colorScheme, viewport: { width: 360, height: 800 } });
    await (await methodOf(page, 'ham.spam.describe')).locator('summary', { hasText: 'Call it from a program' }).click();
    const wide = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    t.is(wide, 0);
    const [red = 0] = /\d+/.exec(String(background))?.map(Number) ?? [];
    t.is(red > 127, colorScheme === 'light');
    t.deepEqual(problems, []);
  }
  const { page } = await open(t, url, { javaScriptEnabled: false });
  const add = await methodOf(page, 'ham.spam.add');
  t.true((await add.innerText()).includes('Adds two numbers.'));
  t.is(await page.locator('button:visible, input:visible').count(), 0);
});

test('a page of another origin can neither call methods nor show the page in a frame', async (t) => {
  const relay = await relayWithPlugin(t);
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end(`<iframe src="${relay.url}/"></iframe>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { page } = await open(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const [, frame] = page.frames();
  t.true((await frame!.content()).includes('a page of another site may not call this relay'));
  const call = (type: string): Promise<string> =>
    page.evaluate(
      ([url, contentType]) =>
        fetch(url!, { method: 'POST', mode: 'no-cors', headers: { 'content-type': contentType! }, body: '[{"data":"forged"}]' }).then(
          ({ status }) => `status ${status}`,
          String,
        ),
      [`${relay.url}/api/notify`, type],
    );
  await call('application/json');
  await call('text/plain');
  t.is(relay.status().relay.accepted, 0);
});

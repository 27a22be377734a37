// @ts-check
/**
 * Starts a relay with this Node, calls it with curl, saves a plugin and stops it: `npx --yes node@24 test/smoke/smoke.mjs`. With the
 * tarball of the package as argument, npm installs it in an empty directory first, and `co2 init` makes the project.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** For a command, and for the life of the relay. What hangs is killed. */
const TIME_LIMIT_MS = 60_000;
const [, , tarball] = process.argv;
const directory = mkdtempSync(join(tmpdir(), 'co2-smoke-'));
const CO2 =
  tarball === undefined
    ? fileURLToPath(new URL('../../bin/co2.mjs', import.meta.url))
    : join(directory, 'node_modules/co2-relay/bin/co2.mjs');
const PLUGIN = join(directory, 'plugins/ham/spam.ts');
const run = promisify(execFile);

/** @param {string} answer */
function savePlugin(answer) {
  writeFileSync(
    PLUGIN,
    `import { Exposed, Plugin, Satellite } from 'co2-relay';

@Satellite()
export class Spam extends Plugin {
  /** Says which version of the plugin runs. */
  @Exposed()
  version(): string {
    return '${answer}';
  }
}
`,
  );
}

/** @param {string} url */
async function askWithCurl(url) {
  const body = '<?xml version="1.0"?><methodCall><methodName>ham.spam.version</methodName><params/></methodCall>';
  const { stdout } = await run('curl', ['-sS', '-m', '10', '-H', 'Content-Type: text/xml', '--data', body, url]);
  return stdout;
}

/**
 * Runs a command in the directory of the relay; returns what it says on stdout and stderr.
 * @param {string} command
 * @param {readonly string[]} args
 */
async function inDirectory(command, args) {
  const { stdout, stderr } = await run(command, args, { cwd: directory, timeout: TIME_LIMIT_MS });
  return stdout + stderr;
}

/**
 * Installs the package as a user does who wants no surprises, and makes a project.
 * @param {string} file
 */
async function install(file) {
  const versions = /** @type {unknown} */ (JSON.parse(await inDirectory('npm', ['version', '--json'])));
  assert.equal(/** @type {{ node: string }} */ (versions).node, process.versions.node, 'npm runs with another Node');
  const said = await inDirectory('npm', ['install', '--engine-strict', '--no-audit', '--no-fund', '--no-update-notifier', file]);
  // Newer versions of npm ask about install scripts. That of classic-level only looks for the native module that its package contains.
  const scripts = [...said.matchAll(/^npm warn install-scripts +(\S+)@\S+ \(/gm)].map(([, name]) => name);
  assert.deepEqual(
    scripts.filter((name) => name !== 'classic-level'),
    [],
  );
  assert.match(
    said.replaceAll(/^npm warn install-scripts.*$/gm, '').trim(),
    /^added \d+ packages in \S+$/,
    'npm has more to say than what it installed',
  );
  assert.match(await inDirectory('npx', ['co2', 'init']), /^wrote config\.ts, plugins\/ham\/spam\.ts, /);
  assert.match(await inDirectory('npx', ['co2', 'test']), /^(?:#|ℹ) pass 3$/m);
}

async function smoke() {
  if (tarball !== undefined) await install(resolve(tarball));
  mkdirSync(join(directory, 'plugins/ham'), { recursive: true });
  savePlugin('first');
  const relay = spawn(process.execPath, [CO2, 'start', '--port', '0'], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(relay, 'exit');
  const limit = setTimeout(() => relay.kill('SIGKILL'), TIME_LIMIT_MS);
  let said = '';
  relay.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => (said += text));
  try {
    const ready = /** @type {string[]} */ (
      await Promise.race([once(createInterface({ input: relay.stdout }), 'line'), ended.then(() => [])])
    );
    const url = / listening on (http:\S+) as /.exec(ready[0] ?? '')?.[1];
    assert.ok(url !== undefined, `the relay did not start: ${ready[0] ?? ''}`);
    assert.match(await askWithCurl(url), /first/);
    if (tarball !== undefined) assert.equal(await inDirectory('npx', ['co2', 'call', '--url', url, 'example.echo.add', '2', '3']), '5\n');
    savePlugin('second');
    while (!(await askWithCurl(url)).includes('second')) assert.equal(relay.exitCode ?? relay.signalCode, null, 'the relay ended');
    relay.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  } catch (error) {
    process.stdout.write(said);
    throw error;
  } finally {
    clearTimeout(limit);
    relay.kill('SIGKILL');
  }
}

const title = `smoke › Node ${process.versions.node}: ${tarball === undefined ? '' : 'installation of the package, '}start, call, reload of a saved plugin, stop`;
try {
  await smoke();
  process.stdout.write(`  ✔ ${title}\n`);
} catch (error) {
  process.stdout.write(`  ✘ ${title}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}

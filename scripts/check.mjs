// @ts-check
/**
 * `npm run check`: the checks of the sources, two at a time. Prints the output of each one that fails, and fails if any of them does. A
 * command in the arguments, `ava` for `npm test`, starts when no check waits any more, unless one has failed.
 */
import { spawn } from 'node:child_process';

/** Scripts of package.json; the longest is first. */
const CHECKS = ['lint', 'types', 'format:check', 'unused'];
/** Each needs up to 2 GB of memory and one core. */
const AT_A_TIME = 2;

/** @param {string} name @returns {Promise<boolean>} True if the check passed. */
async function passes(name) {
  const start = performance.now();
  const child = spawn('npm', ['run', '--silent', name], { stdio: ['ignore', 'pipe', 'pipe'], shell: process.platform === 'win32' });
  /** @type {Buffer[]} */
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (/** @type {Buffer} */ chunk) => output.push(chunk));
  /** @type {boolean} */
  const passed = await new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code) => {
      resolve(code === 0);
    });
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(`${passed ? '✔' : '✖'} npm run ${name} (${seconds} s)`);
  if (!passed) console.log(Buffer.concat(output).toString());
  return passed;
}

/** Runs the command of the arguments; its output is passed on. @param {string} command @param {string[]} args @returns {Promise<boolean>} */
function succeeds(command, args) {
  const child = spawn(command, args, { stdio: 'inherit', shell: process.platform === 'win32' });
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code) => {
      resolve(code === 0);
    });
  });
}

const waiting = [...CHECKS];
const [command, ...args] = process.argv.slice(2);
let hasStarted = false;
/** @type {string[]} */
const failed = [];

async function runWaiting() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) if (!(await passes(name))) failed.push(`npm run ${name}`);
  if (command === undefined || hasStarted || failed.length > 0) return;
  hasStarted = true;
  if (!(await succeeds(command, args))) failed.push([command, ...args].join(' '));
}

await Promise.all(Array.from({ length: AT_A_TIME }, runWaiting));
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

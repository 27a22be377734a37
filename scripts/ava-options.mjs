// @ts-check
/** What the everyday suite (ava.config.js) and the slow one (ava.slow.config.js) share. */
import { buildTests } from './test-build.mjs';

/**
 * Tests that start many processes, or take much processor time for another reason: half of the time of all tests. `npm run test:slow` runs
 * them, and so does CI.
 */
export const SLOW = [
  'test/check-plugin/**/*.test.ts',
  'test/chaos/**/*.test.ts',
  'test/cli/**/*.test.ts',
  'test/docs/{cli,embedding,guide,plugins,work}.test.ts',
  'test/fuzz/**/*.test.ts',
  'test/journey/truncating-saves.test.ts',
  'test/links/held-memory.test.ts',
  'test/mesh/line.test.ts',
  'test/package/package.test.ts',
  'test/plugin-host/{children,programs}/**/*.test.ts',
  'test/plugin-host/durable.test.ts',
  'test/store/damage.test.ts',
  'test/work/{kills,line}.test.ts',
  'test/xmlrpc/hostile.test.ts',
];

// `--watch` runs the sources, since a build is only made at the start.
const isWatching = process.argv.some((argument) => argument === '--watch' || argument === '-w');

/** How test files are loaded and run. */
export async function testOptions() {
  const loading = isWatching
    ? { extensions: { ts: 'module' }, nodeArguments: ['--import=./src/loader/from-source.mjs'] }
    : { typescript: { extensions: ['ts'], rewritePaths: { 'test/': `${await buildTests()}/test/` }, compile: false } };
  return { ...loading, require: ['reflect-metadata'], workerThreads: false, timeout: '60s', concurrency: 2 };
}

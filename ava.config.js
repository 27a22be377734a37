/** The test suite: everything but test/interop, which needs other languages' programs (ava.interop.config.js). */
import { buildTests } from './scripts/test-build.mjs';

// `--watch` runs the sources, since a build is only made at the start.
const isWatching = process.argv.some((argument) => argument === '--watch' || argument === '-w');

/** How test files are loaded: as one build of the whole, or each by our own loader. */
const loading = async () =>
  isWatching
    ? { extensions: { ts: 'module' }, nodeArguments: ['--import=./src/loader/from-source.mjs'] }
    : { typescript: { extensions: ['ts'], rewritePaths: { 'test/': `${await buildTests()}/test/` }, compile: false } };

export default async () => ({
  files: ['test/**/*.test.ts', '!test/interop/**', '!test/support/**', '!test/fixtures/**'],
  ...(await loading()),
  require: ['reflect-metadata'],
  workerThreads: false,
  timeout: '60s',
  concurrency: 2,
});

/** The test suite: everything but test/interop, which needs other languages' programs (ava.interop.config.js). */
export default {
  files: ['test/**/*.test.ts', '!test/interop/**', '!test/support/**', '!test/fixtures/**'],
  extensions: { ts: 'module' },
  nodeArguments: ['--import=./src/loader/from-source.mjs'],
  require: ['reflect-metadata'],
  workerThreads: false,
  timeout: '60s',
  concurrency: 2,
};

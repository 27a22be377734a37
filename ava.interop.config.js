/** Tests that speak with programs in other languages (.ci/run installs what they need); `npm run test:interop`. */
export default {
  files: ['test/interop/**/*.test.ts'],
  extensions: { ts: 'module' },
  nodeArguments: ['--import=./src/loader/from-source.mjs'],
  require: ['reflect-metadata'],
  workerThreads: false,
  serial: true,
  concurrency: 1,
  timeout: '3m',
};

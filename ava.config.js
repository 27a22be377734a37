/** The test suite without its slow part (ava.slow.config.js) and test/interop, which needs other programs (ava.interop.config.js). */
import { SLOW, testOptions } from './scripts/ava-options.mjs';

// Files that are named on the command line run, slow or not.
const isEverything = !process.argv.some((argument) => /\btest\//.test(argument) && !argument.includes('node_modules'));

export default async () => ({
  files: [
    'test/**/*.test.ts',
    ...['!test/interop/**', '!test/support/**', '!test/fixtures/**'],
    ...(isEverything ? SLOW.map((file) => `!${file}`) : []),
  ],
  ...(await testOptions()),
});

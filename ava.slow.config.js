/** The slow part of the test suite; `npm run test:slow`. */
import { SLOW, testOptions } from './scripts/ava-options.mjs';

export default async () => ({ files: SLOW, ...(await testOptions()) });

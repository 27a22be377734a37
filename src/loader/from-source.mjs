// @ts-check
/** For `node --import`: lets a checkout run its own sources, with the compiled modules in node_modules/.cache. */
import { fileURLToPath } from 'node:url';
import { registerLoader } from './loader.mjs';

registerLoader({ cacheDir: fileURLToPath(new URL('../../node_modules/.cache/co2-relay', import.meta.url)) });

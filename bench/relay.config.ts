/** The configuration of the relay under load: no rate limits, and bodies up to 32 MiB. */
import { defineConfig } from 'co2-relay/config';

const unlimited = { perSecond: 1e9, burst: 1e9 };

export default defineConfig({
  work: {
    'bench.zeros': { exec: 'head', args: ['-c', String(256 * 1024 ** 2), '/dev/zero'] },
    'bench.size': { exec: 'wc', args: ['-c'] },
  },
  host: '127.0.0.1',
  maxBodyBytes: 40 * 1024 * 1024,
  limits: { anonymous: unlimited, local: unlimited, peer: unlimited, satellite: unlimited, token: unlimited },
});

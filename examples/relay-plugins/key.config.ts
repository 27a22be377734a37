/** Configures a relay with the key filter; the key comes from the environment. */
import { defineConfig } from 'co2-relay/config';

export default defineConfig({
  relayPlugins: [{ use: './key-filter.ts', config: { key: process.env.NETWORK_KEY } }],
});

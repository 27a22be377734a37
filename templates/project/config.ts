/** The configuration of this relay. Options that are not set have their defaults; node_modules/co2-relay/docs/options.md lists them all. */
import { defineConfig } from 'co2-relay/config';

export default defineConfig({
  host: '127.0.0.1',
  port: 2004,
  // Plugins that come with the relay; remove them, or add 'sense' (sensors), 'task' (work), 'watch' and 'react' (services),
  // 'pd' (Pure Data) and 'validate' (test suites of XML-RPC).
  bundled: ['example', 'chat'],
  // To link relays on a LAN: listen on the network, and list each other.
  // host: '0.0.0.0',
  // publicAddress: '192.168.1.5',
  // peers: ['http://192.168.1.7:2004'],
});

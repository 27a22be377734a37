/** The configuration of the operator. Options that are not set here have their defaults; docs/options.md describes all of them. */
import { defineConfig } from 'co2-relay/config';

export default defineConfig({
  host: '127.0.0.1',
  port: 2004,
  // To link relays on a LAN: listen on the network, list each other, and let the others in.
  // host: '0.0.0.0',
  // publicAddress: '192.168.1.5',
  // peers: ['http://192.168.1.7:2004'],
});

/** A relay that probes two servers, and keeps an upstream of nginx in step with those that are up: `co2 start --config config.ts`. */
import { defineConfig } from 'co2-relay/config';

export default defineConfig({
  bundled: ['watch'],
  services: {
    web: {
      watchers: {
        probe: {
          type: 'watch.probe',
          cfg: {
            nodes: [
              { name: 'web1', host: '127.0.0.1', port: 8001 },
              { name: 'web2', host: '127.0.0.1', port: 8002 },
            ],
            http: { path: '/' },
          },
        },
      },
      reactors: {
        nginx: {
          type: 'proxy.nginx',
          // Include it in the http block of nginx.conf. To have nginx read it again: reload: ['nginx', '-s', 'reload'].
          cfg: { file: '/tmp/web-upstream.conf', upstream: 'web' },
        },
      },
    },
  },
});

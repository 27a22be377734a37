/** A reactor that keeps the upstream of nginx in step with the nodes of a service. */
import { execFile } from 'node:child_process';
import { rename, writeFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { promisify } from 'node:util';
import { Plugin, Reactor, Satellite, type EndpointContext, type ServiceEvent, type ServiceNode } from 'co2-relay';
import { z } from 'zod';

const config = z.strictObject({
  /** The file to write. */
  file: z.string().refine(isAbsolute, 'expected an absolute path'),
  /** The name of the upstream, for `proxy_pass http://<name>`. */
  upstream: z.string().regex(/^\w+$/, 'expected letters, digits and _'),
  /** The command that makes nginx read it again. Default none. */
  reload: z.array(z.string()).min(1).optional(),
});

@Satellite()
export class Nginx extends Plugin {
  /** Writes an upstream file with the nodes that are up, and reloads nginx. */
  @Reactor({ config })
  upstream({ file, upstream, reload }: z.infer<typeof config>, { logger }: EndpointContext) {
    const nodes = new Map<string, ServiceNode>();
    return {
      async react(change: ServiceEvent) {
        for (const node of Object.values(change)) nodes.set(node.name, node);
        const up = [...nodes.values()].filter(({ status }) => status === 'up').sort((a, b) => (a.name < b.name ? -1 : 1));
        // nginx refuses an upstream without servers; one that is down answers 502 instead.
        const servers = up.length > 0 ? up.map(serverLine) : ['  server 127.0.0.1:1 down;'];
        await writeFile(`${file}.new`, `upstream ${upstream} {\n${servers.join('\n')}\n}\n`);
        await rename(`${file}.new`, file);
        const [command, ...args] = reload ?? [];
        // If it fails, the reactor starts again and writes the file again.
        if (command !== undefined) await promisify(execFile)(command, args, { timeout: 30_000 });
        logger.info(`${upstream}: ${up.map(({ name }) => name).join(', ') || 'no node'} up`);
      },
    };
  }
}

/** The relay lets through only names and hosts that mean nothing else to nginx. */
function serverLine({ name, host, port }: ServiceNode): string {
  return `  server ${host.includes(':') ? `[${host}]` : host}:${port}; # ${name}`;
}

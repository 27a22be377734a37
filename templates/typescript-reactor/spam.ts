/** ham.spam: describe here what it does with the nodes of a service. */
import { rename, writeFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { Plugin, Reactor, Satellite, type EndpointContext, type ServiceEvent, type ServiceNode } from 'co2-relay';

/** What a service configures: `reactors: { one: { type: 'ham.spam', cfg: { file: '/run/nodes' } } }`. */
interface Config {
  readonly file?: string;
}

@Satellite()
export class Spam extends Plugin {
  /** Keeps the nodes that are up in a file. It starts nothing yet; an error thrown here refuses the configuration. */
  @Reactor()
  lines({ file = '' }: Config, { logger }: EndpointContext) {
    if (!isAbsolute(file)) throw new Error('cfg.file: expected an absolute path');
    const nodes = new Map<string, ServiceNode>();
    return {
      // The first change has all nodes, each later one those that changed. After an error, a new endpoint begins with all nodes again.
      async react(change: ServiceEvent) {
        for (const node of Object.values(change)) nodes.set(node.name, node);
        const up = [...nodes.values()].filter(({ status }) => status === 'up');
        await writeFile(`${file}.new`, up.map(({ name, host, port }) => `${name} ${host} ${port}\n`).join(''));
        await rename(`${file}.new`, file);
        logger.info(`${up.length} nodes are up`);
      },
    };
  }
}

/** A watcher that asks: it connects to each node of a list, or sends it an HTTP request, and reports which of them answer. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Plugin, Satellite, Watcher, type WatcherReport } from 'co2-relay';
import { z } from 'zod';

const ms = (min: number) => z.int().min(min).max(3_600_000);

/** `watchers: { probe: { type: 'watch.probe', cfg: { nodes: [{ name: 'web1', host: '10.0.0.1', port: 80 }] } } }` in config.ts. */
const configSchema = z.strictObject({
  /** The nodes; their names are their own, and a name is `host:port` by default. */
  nodes: z
    .array(
      z.strictObject({
        name: z
          .string()
          .regex(/^[\w.:@/-]{1,255}$/, 'expected letters, digits and _ . : @ / -')
          .optional(),
        host: z.string().regex(/^[\w.:%-]{1,255}$/, 'expected a host name or an address'),
        port: z.int().min(1).max(65_535),
      }),
    )
    .min(1)
    .max(1_000),
  /** The request that a node has to answer. Default: it is enough that it accepts a connection. */
  http: z
    .strictObject({
      path: z
        .string()
        .regex(/^\/[\x21-\x7e]*$/, 'expected a path that begins with /')
        .default('/'),
      scheme: z.enum(['http', 'https']).default('http'),
      /** Default: any below 400. */
      statuses: z.array(z.int().min(100).max(599)).min(1).optional(),
      /** The Host header. Default: host and port of the node. */
      host: z
        .string()
        .regex(/^[\w.:[\]-]{1,255}$/, 'expected a host name')
        .optional(),
    })
    .optional(),
  /** ms from one round of probes to the next. Default 2,000. */
  intervalMs: ms(50).default(2_000),
  /** ms that a node may take to answer. Default 1,000. */
  timeoutMs: ms(10).default(1_000),
  /** How many probes in a row have to succeed before a node is up again. Default 2. */
  rise: z.int().min(1).max(100).default(2),
  /** How many probes in a row have to fail before a node is down. Default 3. */
  fall: z.int().min(1).max(100).default(3),
});
type Config = z.infer<typeof configSchema>;

// More connections at once would be a load by themselves.
const AT_ONCE = 50;

/** A node, as it was last reported, and how many probes in a row said otherwise. */
interface Probed {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  status: 'up' | 'down';
  contrary: number;
}

@Satellite()
export class Probe extends Plugin {
  /** Reports which nodes of a list accept a connection, or answer an HTTP request. */
  @Watcher({ config: configSchema })
  nodes(config: Config) {
    const names = config.nodes.map(nameOf);
    const repeated = names.find((name, index) => names.indexOf(name) !== index);
    if (repeated !== undefined) throw new Error(`cfg.nodes has two nodes ${repeated}`);
    return { watch: (signal: AbortSignal) => watch(config, signal) };
  }
}

async function* watch(config: Config, signal: AbortSignal): AsyncGenerator<WatcherReport, void> {
  const nodes: Probed[] = config.nodes.map((node) => ({ ...node, name: nameOf(node), status: 'down', contrary: 0 }));
  let isFirst = true;
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    const results = await probeAll(nodes, config, signal);
    if (isOver()) return;
    let hasChanged = isFirst;
    for (const [index, node] of nodes.entries()) {
      const status = results[index] === true ? 'up' : 'down';
      node.contrary = status === node.status ? 0 : node.contrary + 1;
      // The first result counts at once: there is nothing yet that could flap.
      if (node.contrary === 0 || (!isFirst && node.contrary < (status === 'up' ? config.rise : config.fall))) continue;
      node.status = status;
      node.contrary = 0;
      hasChanged = true;
    }
    isFirst = false;
    if (hasChanged) yield nodes.map(({ name, host, port, status }) => ({ name, host, port, status }));
    await sleep(config.intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

async function probeAll(nodes: readonly Probed[], config: Config, signal: AbortSignal): Promise<readonly boolean[]> {
  const results: boolean[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < nodes.length && !signal.aborted; index = next++) {
      const node = nodes[index];
      if (node) results[index] = await (config.http ? answers(node, config.http, config, signal) : accepts(node, config, signal));
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, nodes.length) }, work));
  return results;
}

/** Resolves to true if the node accepts a connection in time. */
function accepts({ host, port }: Probed, { timeoutMs }: Config, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

/** Resolves to true if the node answers the request in time, with a status that is well. */
function answers(
  { host, port }: Probed,
  { path, scheme, statuses, host: named }: NonNullable<Config['http']>,
  { timeoutMs }: Config,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const send = scheme === 'https' ? httpsRequest : httpRequest;
    const request = send(
      {
        ...{ host, port, path, agent: false, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) },
        headers: { 'user-agent': 'co2-relay-probe', ...(named === undefined ? {} : { host: named }) },
      },
      (response) => {
        const { statusCode = 0 } = response;
        resolve(statuses ? statuses.includes(statusCode) : statusCode < 400);
        // The body does not matter.
        request.destroy();
      },
    );
    request.on('error', () => {
      resolve(false);
    });
    request.end();
  });
}

function nameOf({ name, host, port }: Config['nodes'][number]): string {
  return name ?? `${host}:${port}`;
}

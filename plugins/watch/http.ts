/** A watcher to which programs report their nodes, by `POST /service/<name>` or by a call of `watch.http.report`. */
import {
  Exposed,
  Fault,
  Plugin,
  Satellite,
  Watcher,
  type EndpointContext,
  type ReportedNode,
  type Value,
  type WatcherReport,
} from 'co2-relay';
import { z } from 'zod';

/** `watchers: { reports: { type: 'watch.http', cfg: { expireMs: 30_000 } } }` in config.ts. */
const configSchema = z.strictObject({
  /**
   * ms after which a node that was reported as up is down, unless it is reported again: for nodes that report themselves again and again.
   * Default: they stay up until they are reported as down.
   */
  expireMs: z.int().min(100).max(86_400_000).optional(),
});
type Config = z.infer<typeof configSchema>;

type Struct = Readonly<Record<string, Value>>;

const STATUSES: Readonly<Record<string, 'up' | 'down'>> = { up: 'up', nodeup: 'up', down: 'down', nodedown: 'down' };
const EXPECTED = "{web1: {status: 'up', host, port}}, {name, status, host, port}, or a list of all nodes";
// Reports that wait because the relay is busy. More are refused, and can be sent again.
const MAX_WAITING = 1_000;

/** The reports of one watcher that wait. */
class Inbox {
  readonly #waiting: WatcherReport[] = [];
  #wake: () => void = () => undefined;
  readonly #expiry = new Map<string, NodeJS.Timeout>();

  constructor(private readonly expireMs: number | undefined) {}

  put(report: WatcherReport): void {
    if (this.#waiting.length >= MAX_WAITING) throw new Fault(503, `${MAX_WAITING} reports are waiting already; report again later`);
    this.#push(report);
    const { expireMs } = this;
    if (expireMs === undefined) return;
    const nodes = Array.isArray(report)
      ? (report as readonly { name: string; status: string }[])
      : Object.entries(report as Readonly<Record<string, ReportedNode>>).map(([name, { status }]) => ({ name, status }));
    for (const { name, status } of nodes) {
      clearTimeout(this.#expiry.get(name));
      this.#expiry.delete(name);
      if (status === 'up')
        this.#expiry.set(
          name,
          setTimeout(() => this.#expire(name), expireMs),
        );
    }
  }

  async *reports(signal: AbortSignal): AsyncGenerator<WatcherReport, void> {
    const wake = (): void => this.#wake();
    signal.addEventListener('abort', wake);
    const isOver = (): boolean => signal.aborted;
    try {
      while (!isOver()) {
        yield* this.#waiting.splice(0);
        if (this.#waiting.length === 0 && !isOver()) await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', wake);
      for (const timer of this.#expiry.values()) clearTimeout(timer);
    }
  }

  #push(report: WatcherReport): void {
    this.#waiting.push(report);
    this.#wake();
  }

  #expire(name: string): void {
    this.#expiry.delete(name);
    this.#push({ [name]: { status: 'down' } });
  }
}

@Satellite()
export class Http extends Plugin {
  /** Of the watchers that run, by service. */
  readonly #inboxes = new Map<string, Set<Inbox>>();

  /**
   * Reports nodes of a service: a struct of nodes by name, {web1: {status: 'up', host: '10.0.0.1', port: 80}}, one node, {name, status,
   * host, port}, or an array of all nodes. status is up or down (or nodeup, nodedown). Returns the number of nodes that were reported.
   */
  @Exposed({ params: ['string', 'any'], returns: 'int' })
  report(service: string, report: Value): number {
    const inboxes = this.#inboxes.get(service);
    if (!inboxes) {
      const known = [...this.#inboxes.keys()].slice(0, 10).join(', ') || 'none';
      throw new Fault(404, `no service of this name has a watcher watch.http that runs (there are: ${known})`);
    }
    const [nodes, count] = reportOf(report);
    for (const inbox of inboxes) inbox.put(nodes);
    return count;
  }

  /** Takes the reports of `POST /service/<name>`. */
  @Watcher({ config: configSchema })
  nodes({ expireMs }: Config, { service }: EndpointContext) {
    return { watch: (signal: AbortSignal) => this.#watch(service, expireMs, signal) };
  }

  async *#watch(service: string, expireMs: number | undefined, signal: AbortSignal): AsyncGenerator<WatcherReport, void> {
    const inbox = new Inbox(expireMs);
    const inboxes = this.#inboxes.get(service) ?? new Set();
    this.#inboxes.set(service, inboxes.add(inbox));
    try {
      yield* inbox.reports(signal);
    } finally {
      inboxes.delete(inbox);
      if (inboxes.size === 0) this.#inboxes.delete(service);
    }
  }
}

/** The report in the form of the relay, which checks the rest, and the number of its nodes. */
function reportOf(value: Value): [WatcherReport, number] {
  if (Array.isArray(value)) {
    const nodes = (value as readonly Value[]).map((node) => nodeOf(node, 'a node of the list'));
    for (const { name } of nodes) requireName(name);
    return [nodes as WatcherReport, nodes.length];
  }
  if (!isStruct(value)) throw new Fault(422, `expected ${EXPECTED}`);
  if (typeof value.name === 'string') return [{ [requireName(value.name)]: nodeOf(value, value.name) }, 1];
  const nodes: Record<string, ReportedNode> = Object.create(null) as Record<string, ReportedNode>;
  for (const [name, node] of Object.entries(value)) nodes[requireName(name)] = nodeOf(node, name);
  return [nodes, Object.keys(nodes).length];
}

/** Checked here too: the caller gets the reason, and a wrong report does not end the watcher. */
function nodeOf(value: Value, name: string): ReportedNode {
  if (!isStruct(value)) throw new Fault(422, `${name} is not a struct; expected ${EXPECTED}`);
  const { status, event = status, host, port } = value;
  const word = typeof event === 'string' && Object.hasOwn(STATUSES, event.toLowerCase()) ? STATUSES[event.toLowerCase()] : undefined;
  if (word === undefined) throw new Fault(422, `the status of ${name} must be up or down (or nodeup, nodedown)`);
  if (host !== undefined && !(typeof host === 'string' && /^[\w.:%-]{0,255}$/.test(host)))
    throw new Fault(422, `the host of ${name} must be a host name or an address`);
  if (port !== undefined && !(Number.isInteger(port) && (port as number) >= 0 && (port as number) <= 65_535))
    throw new Fault(422, `the port of ${name} must be a number from 0 to 65535`);
  return {
    ...(typeof value.name === 'string' ? { name: value.name } : {}),
    ...{ status: word, ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port: port as number }) },
  };
}

function requireName(name: unknown): string {
  if (typeof name === 'string' && /^[\w.:@/-]{1,255}$/.test(name)) return name;
  throw new Fault(422, 'the name of a node has letters, digits and _ . : @ / -, at most 255');
}

function isStruct(value: Value): value is Struct & Value {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date) && !Buffer.isBuffer(value);
}

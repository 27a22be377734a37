/** Validates what a watcher reports, wherever it runs: nothing else may reach the reactors. Pure. */
import { RelayError } from '../core/core.ts';
import type { ServiceNode } from '../plugin/plugin.ts';
import { Double, describeValue, isDict, showValue } from '../values/values.ts';

/** A checked node; host and port are undefined if the watcher did not say. */
export interface CheckedNode extends Pick<ServiceNode, 'name' | 'status'> {
  readonly host: string | undefined;
  readonly port: number | undefined;
}

/** A checked report. */
export interface Report {
  /** True: these are all nodes that the watcher knows. False: others stay as they are. */
  readonly isFull: boolean;
  readonly nodes: readonly CheckedNode[];
}

// Reactors write names and hosts into configuration files and commands, so they contain nothing that has a meaning there.
const NAME = /^[\w.:@/-]{1,255}$/;
const HOST = /^[\w.:%-]{0,255}$/;
const MAX_PORT = 65_535;
const FORM = "expected nodes by name, {web1: {status: 'up', host, port}}, or a list of all nodes";

/** Checks one report. Throws a RelayError APPLICATION that says what is wrong with it. */
export function readReport(value: unknown): Report {
  if (Array.isArray(value)) {
    const nodes = value.map((node: unknown) => readNode(nameIn(node), node));
    const names = new Set(nodes.map(({ name }) => name));
    if (names.size < nodes.length) throw wrong(`the list has two nodes ${firstRepeated(nodes)}`);
    return { isFull: true, nodes };
  }
  if (!isDict(value)) throw wrong(`found ${describeValue(value)}, ${FORM}`);
  const nodes: CheckedNode[] = [];
  for (const name in value) {
    const node: unknown = value[name];
    const own = isDict(node) ? node.name : undefined;
    if (own !== undefined && own !== name) throw wrong(`the node ${showValue(name)} has another name inside, ${showValue(own)}`);
    nodes.push(readNode(name, node));
  }
  return { isFull: false, nodes };
}

function readNode(name: unknown, node: unknown): CheckedNode {
  if (typeof name !== 'string' || !NAME.test(name))
    throw wrong(`the name of a node is ${showValue(name)}, expected letters, digits and _ . : @ / -, at most 255`);
  if (!isDict(node)) throw wrong(`the node ${name} is ${describeValue(node)}, expected {status, host, port}; ${FORM}`);
  const { status, host, port: given } = node as Readonly<Record<string, unknown>>;
  // Some languages have no integers.
  const port = Double.is(given) ? given.value : given;
  if (status !== 'up' && status !== 'down') throw wrong(`the status of ${name} is ${showValue(status)}, expected up or down`);
  if (host !== undefined && !(typeof host === 'string' && HOST.test(host)))
    throw wrong(`the host of ${name} is ${showValue(host)}, expected a host name or an address`);
  if (port !== undefined && !(Number.isInteger(port) && (port as number) >= 0 && (port as number) <= MAX_PORT))
    throw wrong(`the port of ${name} is ${showValue(port)}, expected a number from 0 to ${MAX_PORT}`);
  return { name, status, host, port: port as number | undefined };
}

function nameIn(node: unknown): unknown {
  return isDict(node) ? node.name : undefined;
}

function firstRepeated(nodes: readonly CheckedNode[]): string {
  const seen = new Set<string>();
  return nodes.find(({ name }) => seen.size === seen.add(name).size)?.name ?? '';
}

function wrong(reason: string): RelayError {
  return new RelayError('APPLICATION', `a wrong report: ${reason}`);
}

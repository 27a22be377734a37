/** The commands about the nodes of the mesh: `co2 nodes`, `co2 routes` and `co2 traceroute`. */
import type { Command } from 'commander';
import { clean } from '../core/core.ts';
import { dictOf } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { callAndPrint, client } from './client-commands.ts';
import type { TargetFlags } from './target.ts';
import { structsOf, toTable } from './values.ts';

const NODE_COLUMNS = ['nick', 'node', 'state', 'version', 'load', 'links', 'cost', 'hop', 'methods', 'work', 'addresses'];
const ROUTE_COLUMNS = ['nick', 'node', 'hop_nick', 'hop', 'links', 'cost'];

const NODES_HELP = `
state: self, reachable, too-far (more than 16 hops), unreachable or left. links and cost (ms) are those of the path to the node, hop is the neighbour to which it leads first.
methods is the number of methods that its plugins offer, work the types of work. --json prints ids instead of nicks, and the links of each node.
Examples:
  co2 nodes
  co2 nodes --json`;
const ROUTES_HELP = `
hop is the neighbour to which messages for the node go first, links the number of links on the way, and cost the ms that they take.
Examples:
  co2 routes
  co2 routes cellar
  co2 routes --json`;
const TRACEROUTE_HELP = `
A line for each hop, as soon as it has answered: its number, nick, node, address and the round trip to it. The exit code is 1 if the node is
not reached; the last line says why. --json prints an object a line: {node, nick, address, ms, reached, reason}.
Examples:
  co2 traceroute cellar
  co2 traceroute xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o --json`;

/** Adds the commands. */
export function addNodeCommands(program: Command, onExit: (code: number) => void): void {
  client(program, 'nodes', 'list the nodes of the mesh', NODES_HELP).action((flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('relay.get_nodes'), nodesText),
  );
  client(program, 'routes [node]', 'list the paths to the nodes of the mesh, or to one', ROUTES_HELP).action(
    (node: string | undefined, flags: TargetFlags) =>
      callAndPrint(
        flags,
        (call) => (node === undefined ? call('relay.get_routes') : call('relay.get_routes', node)),
        (value) => routesText(value, node),
      ),
  );
  client(program, 'traceroute <node>', 'show each node on the way to a node, and the round trip to it', TRACEROUTE_HELP).action(
    async (node: string, flags: TargetFlags) => {
      const { traceroute } = await import('./nodes.ts');
      onExit(await traceroute(node, flags));
    },
  );
}

/** A row for each node: without the -1 of one to which there is no way, and with the nick of the neighbour. */
function nodesText(value: Value): string {
  const nodes = structsOf(value);
  const nicks = new Map(nodes.map(({ node, nick }) => [node, nick]));
  const rows = nodes.map((node) => {
    const { hop, links, work, addresses, cost } = node;
    const isPath = typeof links === 'number' && links > 0;
    return dictOf([
      ...Object.entries(node),
      ['links', isPath ? links : ''],
      ['cost', isPath && cost !== undefined ? cost : ''],
      ['hop', nicks.get(hop ?? '') ?? hop ?? ''],
      ['work', namesIn(work)],
      ['addresses', namesIn(addresses)],
    ]);
  });
  return toTable(rows, NODE_COLUMNS);
}

function namesIn(list: Value | undefined): string {
  return Array.isArray(list) ? list.join(', ') : '';
}

function routesText(value: Value, node: string | undefined): string {
  if (Array.isArray(value) && value.length > 0) return toTable(value, ROUTE_COLUMNS);
  return node === undefined
    ? 'no other node can be reached; co2 peers shows the links of this relay'
    : `there is no way to ${clean(node, 100)} at present; co2 nodes shows its state`;
}

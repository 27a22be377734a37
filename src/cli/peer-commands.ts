/** `co2 peers`: lists the peers of a relay, and decides which nodes it trusts. */
import type { Command } from 'commander';
import { dictOf } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { callAndPrint, client } from './client-commands.ts';
import { prepare } from './command-line.ts';
import type { TargetFlags } from './target.ts';
import { structOf, structsOf, textOf, toTable } from './values.ts';

const PEER_COLUMNS = [
  ...['peer', 'state', 'down_ms', 'waiting', 'forwarded', 'unreadable', 'refused', 'dropped'],
  ...['session', 'trust', 'nick', 'node', 'last_error', 'reason'],
];
const KNOWN_COLUMNS = ['node', 'nick', 'trusted', 'approved', 'session', 'peers', 'since'];
const PENDING_COLUMNS = ['node', 'nick', 'code', 'address'];
const FOUND_COLUMNS = ['node', 'nick', 'code', 'version', 'urls'];

const HELP = `
Examples:
  co2 peers
  co2 peers list --nodes
  co2 peers pair http://192.168.1.7:2004
  co2 peers pair attic     a relay that was found on the network
  co2 peers trust xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o
  co2 peers forget http://192.168.1.7:2004`;
const LIST_HELP = `
session: proven (both sides have proved their keys), classic (a peer that cannot; it is trusted by its address) or none.
Examples:
  co2 peers
  co2 peers list --nodes
  co2 peers list --json`;
const PAIR_HELP = `
With the option discovery, co2 peers shows the relays of the network that are not linked; their nick or node id serves as well as a URL.
Both sides show the same code. Somebody who sees that it is the same approves this relay there, with co2 peers trust NODE.
Examples:
  co2 peers pair http://192.168.1.7:2004
  co2 peers pair attic`;
const TRUST_HELP = `
co2 peers list --nodes shows the nodes that wait, with their codes.
Examples:
  co2 peers trust xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o
  co2 peers trust xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o --no-link     do not connect to it: it connects to this relay`;
const FORGET_HELP = `
Use it when a peer has another key for a good reason, such as a new state directory: its key is pinned again at the next contact.
Examples:
  co2 peers forget xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o
  co2 peers forget http://192.168.1.7:2004`;

interface ListFlags extends TargetFlags {
  readonly nodes?: boolean;
}

interface TrustFlags extends TargetFlags {
  readonly link: boolean;
}

/** Adds the command and its subcommands. */
export function addPeerCommands(program: Command): void {
  const peers = prepare(program.command('peers'))
    .description('list the peer relays, and decide which relays are trusted')
    .helpCommand(false)
    .addHelpText('after', HELP);
  client(peers, 'list', 'list the peer relays, the state of their links, and what they have proved', LIST_HELP, { isDefault: true })
    .option('--nodes', 'list this node, the nodes that it knows, and those that wait for approval')
    .action(({ nodes, ...flags }: ListFlags) =>
      nodes === true ? callAndPrint(flags, (call) => call('relay.get_trust'), nodesText) : listPeers(flags),
    );
  client(
    peers,
    'pair <url-or-node>',
    'link to a relay by its URL, or by its nick or node id if it was found on the network, and ask it to trust this one',
    PAIR_HELP,
  ).action((url: string, flags: TargetFlags) => callAndPrint(flags, (call) => call('relay.pair', url), pairText));
  client(peers, 'trust <node>', 'approve a node that waits for it', TRUST_HELP)
    .option('--no-link', 'do not connect to it, for a relay that cannot be reached')
    .action((node: string, { link, ...flags }: TrustFlags) => callAndPrint(flags, (call) => call('relay.trust', node, link), trustText));
  client(peers, 'forget <node-or-url>', 'forget a node and its key', FORGET_HELP).action((name: string, flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('relay.forget', name), forgetText),
  );
}

/** Prints the peers, and for people also the nodes that wait for approval, and the relays that were found. */
async function listPeers(flags: TargetFlags): Promise<void> {
  let trust: Value = null;
  await callAndPrint(
    flags,
    async (call) => {
      const peers = await call('relay.get_peers');
      // Only admins see these, and a relay of an older version does not know them.
      if (flags.json !== true) trust = await call('relay.get_trust').catch(() => null);
      return peers;
    },
    (value) => [toTable(value, PEER_COLUMNS), ...unlistedLines(trust), ...foundLines(structOf(trust).found)].join('\n'),
  );
}

/** What `peers` does not list: nodes that connect to this relay by themselves, and those that wait for approval. */
function unlistedLines(trust: Value): readonly string[] {
  const { known, pending } = structOf(trust);
  const linked = structsOf(known).filter(({ session, peers }) => session === true && Array.isArray(peers) && peers.length === 0);
  const names = linked.map(({ nick, node }) => `${textOf(nick)} (${textOf(node)})`);
  const count = structsOf(pending).length;
  return [
    ...(names.length > 0 ? ['', `nodes that connect by themselves: ${names.join(', ')}; co2 nodes shows their states`] : []),
    ...(count > 0 ? ['', `${count === 1 ? '1 node waits' : `${count} nodes wait`} for approval: co2 peers list --nodes`] : []),
  ];
}

function foundLines(found: Value | undefined): readonly string[] {
  if (structsOf(found).length === 0) return [];
  const title = 'found on the network, and linked by co2 peers pair NODE (compare the code on both sides):';
  return ['', title, toTable(found ?? [], FOUND_COLUMNS)];
}

function nodesText(value: Value): string {
  const { node, nick, epoch, trust, known = [], pending = [], found = [] } = structOf(value);
  const lines = [`this relay is node ${textOf(node)} (${textOf(nick)}), start ${textOf(epoch)}, trust: '${textOf(trust)}'`];
  const isSome = (list: Value): boolean => structsOf(list).length > 0;
  const rows = structsOf(known).map((one) => dictOf([...Object.entries(one), ['session', one.session === true ? 'proven' : 'none']]));
  lines.push(...(rows.length > 0 ? ['', 'known:', toTable(rows, KNOWN_COLUMNS)] : ['', 'no other node is known']));
  if (isSome(pending)) lines.push('', 'waiting for co2 peers trust NODE:', toTable(pending, PENDING_COLUMNS));
  lines.push(...foundLines(found));
  return lines.join('\n');
}

function pairText(value: Value): string {
  const { node, nick, code, answer, reason } = structOf(value);
  const name = `node ${textOf(node)} (${textOf(nick)})`;
  if (answer === 'trusted') return `linked to ${name}, which trusts this relay; code ${textOf(code)}`;
  if (answer === 'pending')
    return `linked to ${name}, which has not approved this relay yet: compare the code ${textOf(code)} with the one in co2 peers list --nodes there`;
  return `linked to ${name}, which does not trust this relay: ${textOf(reason)}. List this relay in its peers, or set trust: 'pair' there`;
}

function trustText(value: Value): string {
  const { node, nick, peer } = structOf(value);
  const name = `node ${textOf(node)} (${textOf(nick)})`;
  return peer === '' ? `${name} is trusted; this relay does not connect to it` : `${name} is trusted, and linked at ${textOf(peer)}`;
}

function forgetText(value: Value): string {
  const { node, peers } = structOf(value);
  const urls = Array.isArray(peers) ? peers.join(', ') : '';
  return node === '' ? `forgot the link to ${urls}` : `forgot node ${textOf(node)}${urls === '' ? '' : ` of ${urls}`}`;
}

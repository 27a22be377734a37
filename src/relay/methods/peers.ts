/** The methods by which relays prove who they are, and operators decide whom to trust. */
import { RelayError, clean, serverName } from '../../core/core.ts';
import { pairingCode } from '../../identity/identity.ts';
import type { Discovery, Mesh, MeshHost, Peering } from '../../mesh/mesh.ts';
import { oneStruct } from '../../rpc/rpc.ts';
import type { Caller, MethodRegistry } from '../../rpc/rpc.ts';
import type { Sendable, Value } from '../../values/values.ts';

export interface PeerMethodsParts {
  readonly peering: Peering;
  readonly mesh: Pick<Mesh, 'add' | 'pair' | 'dismiss' | 'names'>;
  /** Undefined in a test in memory. */
  readonly host: Pick<MeshHost, 'push' | 'pull' | 'forget'> | undefined;
  /** Undefined if it is not on. */
  readonly discovery: Pick<Discovery, 'finds' | 'pair'> | undefined;
}

/** Registers the methods. */
export function addPeerMethods(registry: MethodRegistry, parts: PeerMethodsParts): void {
  const { peering, mesh, host } = parts;
  registry.add({
    name: 'relay.hello',
    access: 'read',
    isForAll: true,
    help: 'Proves the identity of two relays to each other, in two calls. The first has {v: 1, nonce, key, instance, features, node} and is answered with the same members, bound and proof; the second has {v: 1, hello: the nonce of the answer, proof} and is answered with {answer: trusted, known, pending or refused, reason, copied, check}. See docs/mesh.md.',
    signatures: [['struct', 'struct']],
    invoke: (params, caller) => peering.hello(oneStruct('relay.hello', params), caller),
  });
  addChannelMethods(registry, host);
  registry.add({
    name: 'relay.get_trust',
    access: 'admin',
    help: 'Returns the identity of this relay {node, nick, epoch, trust} and the nodes that it knows: known (node, nick, peers: their URLs, trusted, approved, session, code, since), pending (node, nick, code, address), which wait for relay.trust, and found (node, nick, code, version, urls): relays that announce themselves on the network, and are not linked.',
    signatures: [['struct'], ['struct', 'struct']],
    invoke: () => trustOnWire(parts),
  });
  registry.add({
    name: 'relay.pair',
    access: 'admin',
    help: 'Links this relay to the relay at a URL, or to one that was found on the network, by its node id or nick, from now on and after restarts: pins its key, and asks it to trust this relay. Returns {node, nick, code, answer, reason}: unless the answer is trusted, somebody has to compare the code and call relay.trust there.',
    signatures: [['struct', 'string']],
    invoke: (params) => pair(parts, textIn('relay.pair', params)),
  });
  registry.add({
    name: 'relay.trust',
    access: 'admin',
    help: 'Approves the node of this id, which waits for it, as a peer. With link true (the default), this relay also is linked to the URL that the node says it has, if that is at the address from which it called. Returns {node, nick, peer}: peer is the URL to which this relay forwards dicts, or empty.',
    signatures: [
      ['struct', 'string'],
      ['struct', 'string', 'boolean'],
    ],
    invoke: ([node, link = true]) => trust(peering, mesh, textIn('relay.trust', [node ?? null]), link === true),
  });
  registry.add({
    name: 'relay.forget',
    access: 'admin',
    help: 'Forgets a node, by its id or the URL at which it is pinned: it has no rights any more, links that relay.pair made end, and the key of a configured peer is pinned again at its next contact. Returns {node, peers}: the URLs; node is empty for a link to a relay that never proved its key.',
    signatures: [['struct', 'string']],
    invoke: async (params) => {
      const { id, urls } = await peering.forget(textIn('relay.forget', params));
      await mesh.dismiss(urls);
      host?.forget(id);
      return { node: id, peers: urls };
    },
  });
}

function trustOnWire({ peering, discovery }: PeerMethodsParts): Sendable {
  const { node, nick, epoch, mode, known, pending } = peering.status();
  return {
    ...{ node, nick, epoch, trust: mode },
    known: known.map((one) => ({
      ...{ node: one.id, nick: one.nick, peers: one.urls, trusted: one.isTrusted, approved: one.isApproved },
      ...{ session: one.isInSession, code: one.code, since: one.since },
    })),
    pending: pending.map((one) => ({ node: one.id, nick: one.nick, code: one.code, address: one.address })),
    found: (discovery?.finds() ?? []).map((one) => ({
      ...{ node: one.node, nick: one.nick, code: one.code, version: one.version, urls: one.urls },
    })),
  };
}

async function pair({ peering, mesh, discovery }: PeerMethodsParts, text: string): Promise<Sendable> {
  const isName = discovery !== undefined && !URL.canParse(text);
  const { isNew, url, node, nick, answer, reason } = isName ? await discovery.pair(text) : await pairAt(mesh, text);
  if (isNew) await peering.link(url);
  return { node, nick, code: pairingCode(peering.status().node, node), answer, reason };
}

async function pairAt(mesh: PeerMethodsParts['mesh'], text: string): ReturnType<Discovery['pair']> {
  const url = peerUrl(text);
  return { ...(await mesh.pair(url)), url: url.href };
}

/** The methods by which neighbours exchange frames. */
function addChannelMethods(registry: MethodRegistry, host: PeerMethodsParts['host']): void {
  registry.add({
    name: 'relay.push',
    access: 'read',
    isForAll: true,
    help: 'Takes frames of the mesh from a neighbour, in the session that relay.hello began: a channel (32 hexadecimal digits, chosen by the caller), the number of this call on the channel, from 1, and the frames. Returns {n, frames} for the caller, {} or {closed: reason}. See docs/mesh.md.',
    signatures: [['struct', 'string', 'int', 'array']],
    invoke: (params, caller) => hostOf('relay.push', host).push(params, neighbour('relay.push', caller)),
  });
  registry.add({
    name: 'relay.pull',
    access: 'read',
    isForAll: true,
    help: 'Waits for frames of the mesh on a channel that relay.push has opened, for at most so many ms (25,000). Returns {n, frames}, {} or {closed: reason}.',
    signatures: [['struct', 'string', 'int']],
    invoke: (params, caller) => hostOf('relay.pull', host).pull(params, neighbour('relay.pull', caller)),
  });
}

function hostOf(method: string, host: PeerMethodsParts['host']): Pick<MeshHost, 'push' | 'pull'> {
  if (host) return host;
  throw new RelayError('UNAVAILABLE', `${method}: this relay has no mesh`);
}

/** The node that calls, which must be a peer. */
function neighbour(method: string, { session, gone }: Caller): Parameters<MeshHost['push']>[1] {
  if (session?.isPeer !== true)
    throw new RelayError('FORBIDDEN', `${method} is for the peers of this relay, in a session that relay.hello began`);
  const { node: id, epoch, instance } = session;
  return { peer: { id, epoch, instance }, gone };
}

async function trust(peering: Peering, mesh: PeerMethodsParts['mesh'], id: string, link: boolean): Promise<Sendable> {
  const { nick, addrs } = await peering.approve(id);
  const [first] = addrs;
  if (!link || first === undefined) {
    const urls = peering.status().known.find((known) => known.id === id)?.urls ?? [];
    return { node: id, nick, peer: urls.find((one) => mesh.names.includes(one)) ?? '' };
  }
  const url = peerUrl(first);
  if (!mesh.names.includes(serverName(url))) {
    await peering.link(url.href);
    mesh.add(url.href);
  }
  return { node: id, nick, peer: serverName(url) };
}

function peerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new RelayError(
    'INVALID_PARAMS',
    `'${clean(text.replace(/\/\/[^/@\s]*@/, '//…@'), 200)}' is not a URL like http://192.168.1.7:2004; nicks and ids name relays that discovery: true finds`,
  );
}

function textIn(method: string, [text]: readonly Value[]): string {
  if (typeof text === 'string' && text !== '') return text;
  throw new RelayError('INVALID_PARAMS', `${method} takes a string`);
}

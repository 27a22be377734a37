/** Makes the mesh of a relay together with its identity, and what it needs to know before the first packet. */
import { join } from 'node:path';
import { RelayError } from '../core/core.ts';
import type { Clock, LogSource } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { MAX_TRUST_BYTES, OwnNode, Trust, readClusterSecret } from '../identity/identity.ts';
import type { IdentityOptions } from '../identity/identity.ts';
import type { HttpLimits, HttpLinkTransport, LinkEvent, LinkOptions, LinkTransport, Resolve, ServerAddress } from '../links/links.ts';
import { hostPort } from '../message/message.ts';
import type { Identity } from '../message/message.ts';
import { StateFile, countStart } from '../state/state.ts';
import type { StateDirectory } from '../state/state.ts';
import type { Store } from '../store/store.ts';
import { DialledPeer } from './dialled-peer.ts';
import { Discovery } from './discovery.ts';
import { MeshHost } from './mesh-host.ts';
import { Mesh } from './mesh.ts';
import type { MeshOptions, PeerOptions } from './options.ts';
import type { PeerEvent } from './peer-events.ts';
import { Peering } from './peering.ts';
import { ProvenTransport } from './proven-transport.ts';

/** The options that decide about trust. */
type TrustOptions = IdentityOptions & { readonly tls?: { readonly caFile?: string | undefined } | undefined };

export interface MakeMeshParts {
  readonly options: MeshOptions & LinkOptions & TrustOptions & { readonly host: string | readonly string[] };
  /** The version of the package. */
  readonly version: string;
  readonly state: StateDirectory;
  readonly logs: LogSource;
  readonly events: EventSink<LinkEvent | PeerEvent>;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
  /** What the mesh keeps durably. */
  readonly store: Store;
  /** Reaches a peer over HTTP. */
  readonly byHttp: (peer: ServerAddress, limits?: HttpLimits) => HttpLinkTransport;
  /** Reaches a peer by other means, or instead of HTTP in a test; undefined: by {@link byHttp}. */
  readonly otherwise: (peer: ServerAddress, options: PeerOptions) => LinkTransport | undefined;
  /** False in a test in memory: nothing is stored, and peers are trusted by their addresses. */
  readonly isReal: boolean;
  /** See {@link MeshHostParts.isEphemeral}. Default false. */
  readonly isEphemeral?: boolean | undefined;
}

/** The mesh of a relay, and who the relay is in it. */
export interface OwnMesh {
  readonly mesh: Mesh;
  readonly peering: Peering;
  /** Undefined if it is not on. */
  readonly discovery: Discovery | undefined;
  /** The node of the mesh; undefined in a test in memory. */
  readonly host: MeshHost | undefined;
  /** Counts this start, reads what earlier ones stored, and starts the links. */
  start(self: Identity, scheme: 'http' | 'https'): Promise<void>;
  /** Announces the relay on the network, if it is to be, once it can answer. */
  announce(scheme: 'http' | 'https', port: number): void;
  /** Says goodbye to the nodes of the mesh, while this relay still answers them. */
  leave(): Promise<void>;
  stop(): Promise<void>;
}

/** The cluster secret, if there is one. Throws a RelayError CONFIG_INVALID if it cannot be used, or an authority is missing. */
export function checkTrust(options: TrustOptions): string | undefined {
  if (options.trust === 'ca' && options.tls?.caFile === undefined)
    throw new RelayError(
      'CONFIG_INVALID',
      "trust: 'ca' requires tls.certFile, tls.keyFile and tls.caFile, the authority of the certificates of relays",
    );
  return readClusterSecret(options);
}

/** Makes them. Throws a RelayError CONFIG_INVALID or STATE_DIRECTORY for a cluster secret or a key that cannot be used. */
export function makeMesh({ state, store, date, byHttp, otherwise, isReal, isEphemeral, version, ...parts }: MakeMeshParts): OwnMesh {
  const { options, logs, events, clock, random } = parts;
  checkTrust(options);
  const log = logs('mesh');
  const node = new OwnNode({ seed: state.nodeSeed, options, isEphemeral });
  const file = isReal ? new StateFile(join(state.path, 'trust.json'), MAX_TRUST_BYTES) : undefined;
  const trust = new Trust({ mode: options.trust, self: node.id, file, date });
  const peering = new Peering({
    ...{ node, trust, clock, events, log },
    reachPeer: (hostIds) => mesh.reach(hostIds),
    onTrusted: (id) => {
      mesh.renewUntrusted(id);
    },
  });
  const transport = (peer: ServerAddress, own: PeerOptions): LinkTransport => {
    const other = otherwise(peer, own);
    if (other !== undefined || own.classic === true) return other ?? byHttp(peer);
    return new ProvenTransport(byHttp(peer), peer.name, (inner) => peering.greet(peer.name, inner));
  };
  const signer = { publicKey: node.key.pub, sign: node.key.sign };
  const host = isReal
    ? new MeshHost({
        isEphemeral,
        ...{ id: node.id, onLink: trust.visitorLinked, signer, store, clock, date, random, events, log },
        whenSent: (id) => mesh.whenSent(id),
      })
    : undefined;
  const dialled = (peer: ServerAddress, proven: ProvenTransport): DialledPeer => {
    const connect = (limits: HttpLimits): HttpLinkTransport => byHttp(peer, limits);
    return new DialledPeer({ name: peer.name, transport: proven, connect, timeoutMs: options.peerTimeoutMs });
  };
  const mesh: Mesh = new Mesh({ ...parts, transport, ...(host && { peering, host, dialled }) });
  const discovery = isReal && options.discovery ? new Discovery({ ...parts, node, version, mesh, peering, log }) : undefined;
  return {
    ...{ mesh, peering, discovery, host },
    start: async ({ hostId, address, port }, scheme) => {
      // Counted and synced before anything is sent, so that no two starts are mistaken for each other.
      if (isReal) node.begin(await countStart(state.path));
      const addrs = [`${scheme}://${hostPort(address, port)}`];
      node.describe({ addrs, hostIds: [hostId] });
      const damage = await trust.load();
      if (damage !== undefined) log.error(`trust.json is damaged: ${damage}`);
      for (const link of trust.links) mesh.add(link);
      trust.keepPins((name) => mesh.names.includes(name));
      await host?.start({ epoch: node.epoch, nick: node.nick, addresses: addrs, hostId });
      await mesh.start(hostId);
    },
    announce: (scheme, port) => {
      discovery?.start(scheme, port);
    },
    leave: async () => {
      await Promise.all([discovery?.stop(), host?.leave(options.drainMs)]);
    },
    stop: async () => {
      peering.stop();
      await Promise.all([discovery?.stop(), host?.stop(options.drainMs), mesh.stop()]);
    },
  };
}

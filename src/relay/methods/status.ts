/** The methods that show an operator the status of the relay: counters, links to peers, plugins. */
import { Double } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import type { MeshStatus } from '../../mesh/mesh.ts';
import type { PluginHostStatus, RelayPluginStatus } from '../../plugin-host/plugin-host.ts';
import type { RelayStatus } from '../status.ts';
import type { MethodRegistry } from '../../rpc/rpc.ts';
import { keptMessagesOnWire, keptOnWire, pluginOnWire, satelliteOnWire } from './plugin-on-wire.ts';

export interface StatusParts {
  readonly properties: () => Readonly<Record<string, Sendable>>;
  readonly counters: () => RelayStatus;
  readonly mesh: () => MeshStatus;
  readonly plugins: () => PluginHostStatus;
  readonly relayPlugins: () => readonly RelayPluginStatus[];
  readonly capabilities: () => CapabilitiesStatus;
}

/** What plugins do besides messages and methods, as it is on the wire. */
export interface CapabilitiesStatus {
  /** The nodes of the mesh, this one included. */
  readonly nodes: readonly { readonly state: string }[];
  readonly work: Readonly<Record<string, Sendable>>;
  /** Those that are not idle. */
  readonly recordings: readonly Readonly<Record<string, Sendable>>[];
  readonly services: readonly Readonly<Record<string, Sendable>>[];
}

/**
 * Registers the methods. They need the class admin, because they show addresses and reasons of failures; they do not show local paths.
 */
export function addStatus(
  registry: MethodRegistry,
  { properties, counters, mesh, plugins, relayPlugins, capabilities }: StatusParts,
): void {
  registry.add({
    name: 'relay.get_peers',
    access: 'admin',
    help: 'Lists the peer relays: peer (URL), state (connecting, up, down, never reached, one-way: it sends to us but has never answered, unused: nothing was sent to it yet, not even a ping), down_ms (how long it has not answered), node, nick, session (proven, classic: it cannot prove who it is, none), trust (key, address, none: why it may act as a peer here), trusts_us and the reason if it does not, numbers of dicts waiting, forwarded, unreadable (forwarded, but the answer could not be parsed), refused and dropped, and last_error (why it does not answer, or refused the last dict; empty if neither is so).',
    signatures: [['array'], ['array', 'struct']],
    invoke: () => peers(mesh()),
  });
  registry.add({
    name: 'relay.get_status',
    access: 'admin',
    help: 'Returns the status of this relay: host_id, version, uptime (s), counters of dicts, peers, plugins with their states, local satellites with their inboxes, relay plugins, plugins_not_loaded (a number), kept_messages (what is stored for durable satellites that are gone: satellite, waiting, bytes, drop_in_ms), mesh (numbers of the nodes of the mesh, this one included, of those that are reachable and unreachable, and of messages that are kept for others), work (running units, numbers of pending and kept ones, bytes), recordings that are not idle (name, state, reason, frames), services (name, state, reason, up, down), kept_versions and kept_bytes (an estimate) of modules that were reloaded.',
    signatures: [['struct'], ['struct', 'struct']],
    invoke: () => {
      const { accepted, sent, duplicates, originRefused } = counters();
      const { host_id, versions, start_time, uptime } = properties();
      const { plugins: hosted, satellites, problems, keptMessages, kept } = plugins();
      const { nodes, ...others } = capabilities();
      const inState = (...wanted: readonly string[]): number => nodes.filter(({ state }) => wanted.includes(state)).length;
      return {
        ...{ host_id, versions, start_time, uptime },
        dicts: { accepted, sent, duplicates, origin_refused: originRefused, hop_limited: mesh().hopLimited },
        peers: peers(mesh()),
        plugins: hosted.map(pluginOnWire),
        satellites: satellites.map(satelliteOnWire),
        relay_plugins: relayPlugins().map(({ carries = '', ...status }) => ({ ...status, carries })),
        plugins_not_loaded: problems.length,
        kept_messages: keptMessages.map(keptMessagesOnWire),
        mesh: {
          ...{ nodes: nodes.length, reachable: inState('reachable'), unreachable: inState('unreachable', 'too-far') },
          kept: mesh().node?.kept ?? 0,
        },
        ...others,
        ...keptOnWire(kept),
      };
    },
  });
}

function peers({ peers: all }: MeshStatus): Sendable {
  return all.map(({ peer, state, downMs, waiting, forwarded, unreadable, refused, dropped, lastError = '', proof, trust }) => ({
    ...{ peer, state, down_ms: new Double(downMs), node: proof.node, nick: proof.nick, session: proof.session, trust },
    ...{ trusts_us: proof.answer === 'trusted', reason: proof.reason },
    ...{ waiting, forwarded, unreadable, refused, dropped, last_error: lastError },
  }));
}

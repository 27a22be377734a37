/** Decides whether a caller may speak for a host_id, by the policy `strict`. */
import { canonicalAddress, formatHostId, isLoopback, parseHostId } from '../message/message.ts';
import { clean } from '../core/core.ts';
import type { Attestation, Verdict } from '../message/message.ts';
import type { Stamp } from './stamp.ts';

/** Who submits a dict: a client or satellite, or a configured peer with its stamp. */
export type Ingress =
  | { readonly kind: 'client'; readonly address: string; readonly isDirect: boolean }
  /** `hostIds`: those of the node that proved to be the sender; undefined for a peer that is known by its address. */
  | { readonly kind: 'peer'; readonly address: string; readonly stamp: Stamp; readonly hostIds?: readonly string[] | undefined };

/** A dict that a node of the mesh signed. */
export interface SignedDict {
  /** The node. */
  readonly node: string;
  /** The host_id of the dict. */
  readonly hostId: string;
  /** The host_id of the relay by which it entered the mesh. */
  readonly by: string;
  readonly attestation: Attestation | undefined;
}

/** What is known of the nodes of the mesh. */
export interface KnownNodes {
  /** The node to which a host_id belongs; undefined if no known node has it. */
  ownerOf(hostId: string): string | undefined;
  /** The host_id of the relay of a node; undefined if it is not known. */
  hostIdOf(node: string): string | undefined;
  /** True if the node with this host_id has joined a moment ago, so that others may not know it yet. */
  isNew(hostId: string): boolean;
}

export type OriginVerdict =
  | { readonly accepted: true; readonly hostId: string; readonly verdict: Verdict; readonly attestation?: Attestation | undefined }
  | { readonly accepted: false; readonly reason: string };

/**
 * Checks `claimed`, the host_id of the dict (undefined if it has none), against who submits it. `self` is our own host_id, which attests
 * clients; `random` makes the first part of a host_id for a client that has none. Addresses are compared in canonical form; ports and names
 * are not compared.
 */
export function checkOrigin(claimed: unknown, ingress: Ingress, self: string, random: () => string): OriginVerdict {
  if (claimed !== undefined && typeof claimed !== 'string') return refused('host_id is not a string');
  return ingress.kind === 'client' ? checkClient(claimed, ingress, self, random) : checkPeer(claimed, ingress);
}

function checkClient(
  claimed: string | undefined,
  { address, isDirect }: Ingress & { kind: 'client' },
  self: string,
  random: () => string,
): OriginVerdict {
  // The address of a caller behind a proxy is not known.
  const attestation: Attestation | undefined = isDirect ? { by: self, observedIp: address, verdict: 'checked' } : undefined;
  if (claimed === undefined) {
    const hostId = formatHostId({ random: random(), address, port: 0 });
    return { accepted: true, hostId, verdict: 'checked', attestation };
  }
  if (!isDirect)
    return refused(
      'a dict that a proxy outside trustedProxies forwards cannot name a host_id: omit host_id, or add the proxy to trustedProxies',
    );
  const host = parseHostId(claimed);
  if (!host) return refused(notHostId(claimed));
  if (formatHostId(host) === self) return refused(`host_id '${clean(claimed, 130)}' is this relay's own: omit host_id, the relay sets it`);
  if (host.address !== address) return refused(`host_id '${clean(claimed, 130)}' does not belong to ${address}, where it came from`);
  return { accepted: true, hostId: formatHostId(host), verdict: 'checked', attestation };
}

function checkPeer(claimed: string | undefined, { address, stamp, hostIds }: Ingress & { kind: 'peer' }): OriginVerdict {
  const by = parseHostId(stamp.by);
  if (!by) return refused(`co2.by: ${notHostId(stamp.by)}`);
  if (hostIds !== undefined && !hostIds.includes(stamp.by))
    return refused(`co2.by '${clean(stamp.by, 130)}' is not a host_id of the node that sent it (${clean(hostIds.join(', '), 300)})`);
  if (hostIds === undefined && by.address !== address) {
    return refused(`co2.by '${clean(stamp.by, 130)}' does not belong to ${address}, where it came from; does the peer need publicAddress?`);
  }
  if (claimed === undefined) return refused('a peer forwarded a dict without host_id');
  const host = parseHostId(claimed);
  if (!host) return refused(notHostId(claimed));
  const attested = attests(stamp.attestation, host.address);
  // Every machine has a loopback address, so one from another machine says nothing unless a relay attests it.
  if (isLoopback(host.address) && !isLoopback(address) && !attested) {
    return refused(`host_id '${clean(claimed, 130)}' is a loopback address of another machine, and no relay attests it`);
  }
  const verdict: Verdict = attested ? 'attested' : 'vouched';
  return { accepted: true, hostId: formatHostId(host), verdict, attestation: attested ? stamp.attestation : undefined };
}

/**
 * Checks the host_id of a dict that a node of the mesh signed: no other node than its owner may send in its name. `ownAddress` is that of
 * this relay.
 */
export function checkSigned({ node, hostId, by, attestation }: SignedDict, nodes: KnownNodes, ownAddress: string): OriginVerdict {
  const entrance = nodes.ownerOf(by);
  if (entrance !== undefined && entrance !== node)
    return refused(`host_id '${clean(by, 130)}', by which it entered the mesh, belongs to another node than ${node}`);
  const host = parseHostId(hostId);
  if (!host) return refused(notHostId(hostId));
  const owner = hostId === by ? entrance : nodes.ownerOf(hostId);
  if (owner === node) return { accepted: true, hostId, verdict: 'signed' };
  const attested = attests(attestation, host.address);
  // The other node got the dict over a classic link, and did not know its sender as a node yet.
  const isFromBefore = attested && hostId !== by && nodes.isNew(hostId);
  if (owner !== undefined && !isFromBefore)
    return refused(`host_id '${clean(hostId, 130)}' belongs to node ${owner}, but node ${node} signed the dict`);
  // Every machine has a loopback address, so one from another machine says nothing unless a relay attests it.
  if (isLoopback(host.address) && !attested && !isOfThisMachine(by, ownAddress)) {
    // What was stored before the last end of this relay is delivered before the other nodes have said who they are.
    const isOwnOfUnknown = hostId === by && nodes.hostIdOf(node) === undefined;
    if (!isOwnOfUnknown)
      return refused(`host_id '${clean(hostId, 130)}' is a loopback address of another machine, and no relay attests it`);
  }
  return { accepted: true, hostId: formatHostId(host), verdict: attested ? 'attested' : 'vouched', attestation };
}

/** True if both relays have loopback addresses, as on one machine. */
function isOfThisMachine(by: string, ownAddress: string): boolean {
  return isLoopback(ownAddress) && isLoopback(parseHostId(by)?.address ?? '');
}

function attests(attestation: Attestation | undefined, address: string): boolean {
  return attestation !== undefined && parseHostId(attestation.by) !== undefined && canonicalAddress(attestation.observedIp) === address;
}

function notHostId(text: string): string {
  return `'${clean(text, 130)}' is not a valid host_id (<random>@<ip>:<port>, with an address that a host can have)`;
}

function refused(reason: string): OriginVerdict {
  return { accepted: false, reason };
}

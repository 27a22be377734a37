/** What relays prove to each other, as events, and the log lines for them. */
import { RateLimitedLog, clean } from '../core/core.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { TrustKind } from '../identity/identity.ts';

interface NodeName {
  /** The id of the node. */
  readonly node: string;
  /** The name that it gives itself. */
  readonly nick: string;
}

export type PeerEvent =
  /** A node proved its key: the one at the URL of a peer, or one that called from an address. */
  | (NodeName & { readonly type: 'peer.proven'; readonly peer: string; readonly how: TrustKind })
  /** The key of a peer was remembered; `before`: the node that was remembered until now. */
  | (NodeName & { readonly type: 'peer.pinned'; readonly peer: string; readonly how: TrustKind; readonly before?: string | undefined })
  /** A peer does not know `relay.hello`, and is trusted by its address. */
  | { readonly type: 'peer.classic'; readonly peer: string }
  /** A peer has proved its key, but does not trust this relay. */
  | (NodeName & { readonly type: 'peer.unlisted'; readonly peer: string; readonly reason: string })
  /** A node that called from `address` waits for approval. */
  | (NodeName & { readonly type: 'peer.pending'; readonly address: string; readonly code: string })
  | (NodeName & { readonly type: 'peer.approved' })
  | { readonly type: 'peer.forgotten'; readonly node: string }
  /** A peer, or a caller from an address, failed to prove itself, or may not. */
  | { readonly type: 'peer.refused'; readonly peer: string; readonly node: string; readonly reason: string }
  /** A relay that announces itself on the network was found at a URL. Nobody has checked what it says. */
  | (NodeName & { readonly type: 'peer.found'; readonly peer: string; readonly code: string; readonly version: string })
  /** It is not there any more: it said goodbye, or has not answered for a while. */
  | (NodeName & { readonly type: 'peer.vanished'; readonly peer: string; readonly reason: 'left' | 'expired' })
  /** An alarm: two relays use one identity. */
  | (NodeName & { readonly type: 'peer.copied'; readonly peer: string; readonly reason: string })
  /** The link of the mesh to a neighbour is up or down. */
  | { readonly type: 'mesh.link'; readonly node: string; readonly state: 'up' | 'down'; readonly reason: string }
  /** A node of the mesh can be reached, over any number of relays. */
  | (NodeName & { readonly type: 'node.up' })
  /** It cannot be reached any more: it said goodbye, or there is no path to it. */
  | (NodeName & { readonly type: 'node.down'; readonly reason: 'left' | 'lost' })
  /** Something in the mesh that an operator must know. */
  | { readonly type: 'mesh.alarm'; readonly reason: string };

/** The events that {@link peerLogger} logs. */
export const PEER_EVENTS = [
  ...(['peer.proven', 'peer.pinned', 'peer.classic', 'peer.unlisted', 'peer.pending'] as const),
  ...(['peer.approved', 'peer.forgotten', 'peer.refused', 'peer.copied'] as const),
  ...(['peer.found', 'peer.vanished', 'mesh.link', 'node.up', 'node.down', 'mesh.alarm'] as const),
] as const satisfies readonly PeerEvent['type'][];

/** Returns the subscriber that logs them; what strangers can cause at will is rate limited. */
export function peerLogger(logs: LogSource, clock: Pick<Clock, 'now'>): (event: PeerEvent) => void {
  const log = logs('mesh');
  const strangers = new RateLimitedLog(log, clock);
  const finds = rateLimitedInfo(log, clock);
  const nicks = new Latest();
  const proofs = new Latest();
  return (event) => {
    if ('nick' in event) nicks.set(event.node, event.nick);
    switch (event.type) {
      case 'peer.proven':
        // Sessions are renewed; only another node or another reason is news.
        logProof(event, log, proofs.set(event.peer, `${event.node} ${event.how}`));
        break;
      case 'peer.pinned':
        if (event.before === undefined) log.info(`pinned the key of peer ${event.peer}: ${nameOf(event)}`);
        else log.warn(`peer ${event.peer} was node ${event.before}, and is ${nameOf(event)} now (${event.how})`);
        break;
      case 'peer.classic':
        log.info(`peer ${event.peer} does not know relay.hello: it is trusted by its address`);
        break;
      case 'peer.unlisted':
        log.warn(`peer ${event.peer} does not count this relay as a peer: ${clean(event.reason, 300)}`);
        break;
      case 'peer.pending':
        strangers.warn(
          `${nameOf(event)} at ${event.address} wants to be a peer: compare the code ${event.code} with the one there, then run co2 peers trust ${event.node}`,
        );
        break;
      case 'peer.approved':
        log.info(`approved ${nameOf(event)} as a peer`);
        break;
      case 'peer.forgotten':
        log.info(`forgot node ${event.node}`);
        break;
      case 'peer.refused':
        strangers.warn(`refused relay.hello of ${event.peer}: ${clean(event.reason, 500)}`);
        break;
      case 'peer.found':
        finds.warn(
          `found ${nameOf(event)} at ${event.peer} on the network; to link it, compare the code ${event.code}, then run co2 peers pair ${event.node}`,
        );
        break;
      case 'peer.vanished':
        log.debug(`${nameOf(event)} at ${event.peer} ${event.reason === 'left' ? 'left the network' : 'is not announced any more'}`);
        break;
      case 'peer.copied':
        strangers.warn(`ALARM: ${clean(event.reason, 500)} (seen at ${event.peer})`);
        break;
      case 'mesh.link':
      case 'node.up':
      case 'node.down':
        logNode(event, log, nicks);
        break;
      case 'mesh.alarm':
        strangers.warn(`ALARM: ${clean(event.reason, 500)}`);
    }
  };
}

function logProof(event: Extract<PeerEvent, { readonly type: 'peer.proven' }>, log: Log, isNews: boolean): void {
  if (event.how === 'insecure') log.warn(`${nameOf(event)} at ${event.peer} is a peer without any check (trust: 'insecure')`);
  else log[isNews ? 'info' : 'debug'](`${nameOf(event)} at ${event.peer} has proved its key (${event.how})`);
}

function logNode(
  event: Extract<PeerEvent, { readonly type: 'mesh.link' | `node.${string}` }>,
  log: Pick<Log, 'info' | 'warn'>,
  nicks: Latest,
): void {
  if (event.type === 'mesh.link') {
    const name = nameOf({ node: event.node, nick: nicks.get(event.node) ?? '' });
    log.info(`the link to ${name} is ${event.state === 'up' ? 'up' : `down: ${clean(event.reason, 300)}`}`);
  } else if (event.type === 'node.up') {
    log.info(`${nameOf(event)} can be reached`);
  } else if (event.reason === 'left') {
    log.info(`${nameOf(event)} said goodbye`);
  } else {
    log.warn(`${nameOf(event)} cannot be reached any more`);
  }
}

// Nodes and addresses that are remembered: more than the neighbours of a relay.
const MAX_LATEST = 1000;

/** The latest text about each of the nodes or addresses that were heard of last. */
class Latest {
  readonly #texts = new Map<string, string>();

  get(key: string): string | undefined {
    return this.#texts.get(key);
  }

  /** True if the text has changed. */
  set(key: string, text: string): boolean {
    const isNew = this.#texts.get(key) !== text;
    this.#texts.delete(key);
    this.#texts.set(key, text);
    for (const oldest of this.#texts.keys()) {
      if (this.#texts.size <= MAX_LATEST) break;
      this.#texts.delete(oldest);
    }
    return isNew;
  }
}

/** Limits lines of the level info as it does warnings. */
function rateLimitedInfo(log: Pick<Log, 'info'>, clock: Pick<Clock, 'now'>): RateLimitedLog {
  const warn = (text: string): void => {
    log.info(text);
  };
  return new RateLimitedLog({ warn }, clock);
}

function nameOf({ node, nick }: NodeName): string {
  return nick === '' ? `node ${node}` : `node ${node} (${clean(nick, 64)})`;
}

/** Whether a relay does its whole job, and the reasons if it does not. Pure. */
import { basename, isAbsolute } from 'node:path';
import type { MeshStatus } from '../mesh/mesh.ts';
import type { PluginHostStatus, PluginState } from '../plugin-host/plugin-host.ts';

/** The parts of a relay whose state decides, as `/readyz?exclude=` names them. */
export const READINESS_PARTS = ['plugins', 'peers'] as const;

export type ReadinessPart = (typeof READINESS_PARTS)[number];

/** Why a relay is not ready. */
export interface NotReady {
  readonly part: ReadinessPart;
  /** The name of a plugin, or the file of one that has no name, without its directories; the URL of a peer without credentials. */
  readonly name: string;
  /** In one or two words. */
  readonly state: string;
  /** What went wrong, in words; it may name paths and addresses. Undefined if that is not known. */
  readonly reason: string | undefined;
}

// A plugin that is busy, reloads or was stopped by hand does what it should.
const NOT_READY: ReadonlySet<PluginState['type']> = new Set(['failed', 'not-loaded', 'backoff', 'unresponsive']);

/** What is seen of a relay at first sight: names and states, without causes. */
export interface Overview {
  readonly isReady: boolean;
  readonly peers: readonly {
    readonly name: string;
    readonly state: MeshStatus['peers'][number]['state'];
    /** `proven`, `classic` or `none`. */
    readonly session: string;
    /** Name and id of the node; empty if it has proved nothing. */
    readonly node: string;
  }[];
  readonly plugins: readonly { readonly name: string; readonly kind: string; readonly state: string; readonly isOlder: boolean }[];
}

interface Parts {
  readonly plugins: PluginHostStatus;
  readonly mesh: MeshStatus;
}

/** Names and states of peers and plugins. */
export function overviewOf(parts: Parts): Overview {
  return {
    isReady: reasonsAgainst(parts).length === 0,
    peers: parts.mesh.peers.map(({ peer: name, state, proof }) => ({
      ...{ name, state, session: proof.session },
      node: proof.node === '' ? '' : `${proof.nick} ${proof.node}`,
    })),
    plugins: parts.plugins.plugins.map(({ name, kind, state, reloadError }) => ({
      ...{ name, kind, state: state.type },
      isOlder: reloadError !== undefined,
    })),
  };
}

/**
 * All reasons; none if the relay is ready. A peer to which nothing has been sent yet is not a reason, and neither is a plugin of which an
 * older version runs, since that still does its job.
 */
export function reasonsAgainst({ plugins, mesh }: Parts): readonly NotReady[] {
  const failed = plugins.plugins
    .filter(({ state }) => NOT_READY.has(state.type))
    .map(({ name, state, lastError }) => {
      const reason = 'reason' in state ? state.reason : lastError;
      return { part: 'plugins', name, state: state.type, reason } as const;
    });
  const named = new Set(failed.map(({ name }) => name));
  const notLoaded = plugins.problems
    .map(({ module, file, reason }) => ({ name: module ?? (isAbsolute(file) ? basename(file) : file), reason }))
    .filter(({ name }) => !named.has(name))
    .map(({ name, reason }) => ({ part: 'plugins', name, state: 'not-loaded', reason }) as const);
  const down = mesh.peers
    .filter(({ downMs }) => downMs > 0)
    .map(({ peer, state, lastError }) => ({ part: 'peers', name: peer, state, reason: lastError }) as const);
  return [...failed, ...notLoaded, ...down];
}

/** A unit of work as plain data: what was submitted, its state, and which states may follow each other. */
import type { Submitter } from '../access/access.ts';
import type { StreamState } from '../streams/streams.ts';

/** The states of a unit. The last five are final. */
export type UnitState =
  | { readonly type: 'pending' }
  | { readonly type: 'running'; readonly process?: ProcessMark | undefined }
  | { readonly type: 'succeeded' }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'canceled' }
  | { readonly type: 'expired'; readonly reason: string }
  | { readonly type: 'lost'; readonly reason: string };

export type UnitStateType = UnitState['type'];

/** A process, so that another one with the same number is not taken for it. */
export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks from the start of the machine to that of the process; undefined where the system does not tell. */
  readonly startTime?: string | undefined;
  /** Of the machine since its last start; undefined where the system does not tell. */
  readonly bootId?: string | undefined;
}

/** Where a unit is that another node runs. What is known of it here is what that node said last. */
export interface Placement {
  /** Id of the node. */
  readonly node: string;
  /** The message with the submission. Undefined: it waits for its payload, or is not sent yet. */
  readonly message?: string | undefined;
  /** True once the node has stored the submission, so that it is lost if it vanishes. */
  readonly isDelivered?: boolean | undefined;
  /** True if the payload is kept here until the unit ends, since the node fetches it. */
  readonly isHeld?: boolean | undefined;
  /** True if it ran again after it was lost, which is believed once. */
  readonly wasLost?: boolean | undefined;
}

/** The payload and parameters that are not in the submission of another node: they are fetched from there. */
export interface Fetch {
  /** Id of the node. */
  readonly node: string;
  readonly bytes: number;
  /** The SHA-256 of the payload, in hexadecimal. */
  readonly hash: string;
}

/** A unit of work. Times are ms since 1970. */
export interface Unit {
  readonly id: string;
  /** `ham.spam:render` */
  readonly type: string;
  readonly submitter: Submitter;
  readonly submittedAt: number;
  /** It must have started by then. */
  readonly expiresAt: number;
  /** ms that it may run. */
  readonly timeoutMs: number;
  /** The struct of its parameters as XML-RPC, encrypted where the names say that they are secret. */
  readonly params: string;
  readonly payloadBytes: number;
  /** True while its payload is to be uploaded or fetched, false once it was. Undefined: it came with the submission. */
  readonly isUploading?: boolean | undefined;
  /** Undefined: this relay runs it. */
  readonly placement?: Placement | undefined;
  /** Undefined: there is nothing to fetch. */
  readonly fetch?: Fetch | undefined;
  /** The id under which it was submitted with others, one for each node. */
  readonly group?: string | undefined;
  readonly state: UnitState;
  readonly startedAt?: number | undefined;
  /** When it reached its final state. */
  readonly endedAt?: number | undefined;
  /** The exit code, or the name of the signal, of a program. */
  readonly exit?: number | string | undefined;
  /** Bytes of each of its output streams, by name. Final once the unit is. */
  readonly outputs: Readonly<Record<string, OutputSize>>;
}

export interface OutputSize {
  readonly bytes: number;
  /** True if the unit yielded more than the limit on its output. */
  readonly truncated: boolean;
}

const NEXT: Readonly<Record<UnitStateType, readonly UnitStateType[]>> = {
  pending: ['running', 'failed', 'canceled', 'expired'],
  // A unit that runs is stored again when its process is known.
  running: ['succeeded', 'failed', 'canceled', 'lost'],
  succeeded: [],
  failed: [],
  canceled: [],
  expired: [],
  // An executor that was given up may still tell how it ended, once.
  lost: ['succeeded', 'failed', 'canceled'],
};

/** What the node that runs a unit says about it. */
export type Report = Pick<Unit, 'state' | 'startedAt' | 'endedAt' | 'exit' | 'outputs'>;

const NODE = 'node:';

/**
 * The unit as the node says that runs it. Undefined if that is no news: a state that is final stays, but for `lost`, which is what this
 * relay only supposed. It ends `lost` whenever the truth is known, but runs again once.
 */
export function asReported(unit: Unit, report: Report): Unit | undefined {
  const { state, placement } = unit;
  if (!placement) return undefined;
  const isLost = state.type === 'lost';
  if (isLost ? !isFinal(report.state) && placement.wasLost === true : isFinal(state)) return undefined;
  const wasLost = isLost || placement.wasLost;
  return { ...unit, ...report, placement: { ...placement, isDelivered: true, wasLost } };
}

/** Id of the node that submitted it; undefined if this relay did. */
export function originOf({ submitter: { id } }: Unit): string | undefined {
  return id.startsWith(NODE) ? id.slice(NODE.length) : undefined;
}

/** True if a unit in this state does not change any more. */
export function isFinal({ type }: UnitState): boolean {
  return type !== 'pending' && type !== 'running';
}

/** The unit in its next state. Throws an Error if that cannot follow, which is a bug of the relay. */
export function inState(
  unit: Unit,
  state: UnitState,
  change: Partial<Pick<Unit, 'startedAt' | 'endedAt' | 'exit' | 'outputs'>> = {},
): Unit {
  if (!NEXT[unit.state.type].includes(state.type)) throw new Error(`unit ${unit.id} cannot become ${state.type}: it is ${unit.state.type}`);
  return { ...unit, ...change, state };
}

/** Why a unit is in its state, for people; `''` if the state says it all. */
export function reasonOfState(state: UnitState): string {
  return 'reason' in state ? state.reason : '';
}

/** The end of the outputs of a unit that has ended. */
export function endOfOutputs({ state }: Unit): StreamState {
  if (state.type === 'failed') return { type: 'failed', reason: state.reason };
  return state.type === 'succeeded' ? { type: 'ended' } : { type: 'canceled', reason: `the unit is ${state.type}` };
}

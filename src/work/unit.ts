/** A unit of work as plain data: what was submitted, its state, and which states may follow each other. */
import type { Submitter } from '../access/access.ts';

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
  /** True while its payload is to be uploaded, false once it was. Undefined: it came with the submission. */
  readonly isUploading?: boolean | undefined;
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

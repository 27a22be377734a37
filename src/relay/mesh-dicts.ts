/** Dicts over the mesh: submits those that leave this relay, reads those that arrive, and finds out what became of the ones it sent. */
import { createHmac, randomBytes } from 'node:crypto';
import { RateLimitedLog, RelayError, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { NodeIndex } from '../mesh/mesh.ts';
import type { MeshArrival, MeshMessage, MeshOutcome, MeshPort } from '../mesh/mesh.ts';
import { MAX_PAYLOAD_BYTES } from '../mesh-core/mesh-core.ts';
import type { Target } from '../mesh-core/mesh-core.ts';
import type { Identity, Message } from '../message/message.ts';
import type { Names, Sending } from './addressing.ts';
import { DICT, encodeDict } from './dict-payload.ts';
import { describeMessage, messageFromNode } from './ingress.ts';
import type { FromNode, Minter, ReadArrival } from './ingress.ts';

/** What became of a dict that a satellite of this relay sent. */
export interface DictOutcome {
  /** The id of the message. */
  readonly id: string;
  readonly satellite: string;
  readonly status: MeshOutcome['status'];
  readonly reason: string;
  /** Id of the node that it concerns; undefined: none in particular. */
  readonly node: string | undefined;
}

export interface MeshDictsParts {
  readonly port: MeshPort;
  readonly self: () => Identity;
  readonly clock: Clock;
  readonly log: Log;
  readonly mint: Minter;
  readonly maxDictBytes: number;
  readonly onOutcome: (outcome: DictOutcome) => void;
}

const REF = 'dict:';
const TARGET = /\.u:([a-z2-7]{32})~?\./;
const ANY = 'any';
const MAX_REF_BYTES = 255;
// What the mesh adds to a dict, at most.
const MAX_FRAME_BYTES = 8 * 1024;

/** See the head of this file. */
export class MeshDicts implements Names {
  readonly #parts: MeshDictsParts;
  readonly #index: NodeIndex;
  readonly #warnings: RateLimitedLog;
  // By which a reference proves that it was in a message for the node that returns it.
  readonly #key = randomBytes(32);

  constructor(parts: MeshDictsParts) {
    this.#parts = parts;
    this.#index = new NodeIndex(parts.port, parts.clock);
    this.#warnings = new RateLimitedLog(parts.log, parts.clock);
    parts.port.onOutcome((outcome) => {
      this.#reported(outcome);
    });
  }

  get self(): string {
    return this.#parts.port.id;
  }

  resolve(name: string): string {
    return this.#index.resolve(name);
  }

  /** The nodes to which a message goes from here: none if its own relay is a node, which sends it itself. */
  targetsOf({ hostId, hopsLeft }: Message, { targets }: Sending): readonly Target[] {
    const { port, self } = this.#parts;
    if (targets[0]?.type !== 'all') return targets;
    if (!port.hasNeighbours || hopsLeft === 0) return NO_TARGETS;
    if (hostId === self().hostId) return targets;
    return this.isOfOtherNode(hostId) ? NO_TARGETS : targets;
  }

  /** True if the relay with this host_id is another node of the mesh. */
  isOfOtherNode(hostId: string): boolean {
    const owner = this.#index.ownerOf(hostId);
    return owner !== undefined && owner !== this.#parts.port.id;
  }

  /** Throws a RelayError LIMIT if the message is too large for the mesh. */
  requireSize({ payload }: Message): void {
    const max = MAX_PAYLOAD_BYTES - MAX_FRAME_BYTES;
    if (payload.length > max)
      throw new RelayError('LIMIT', `the dict takes ${payload.length} bytes as XML; at most ${max} can be sent to other nodes`);
  }

  /**
   * Sends a message to these nodes; resolves once it may be acknowledged. With several nodes, it rejects if none of them can be sent it;
   * those that cannot are reported otherwise.
   */
  submit(message: Message, targets: readonly Target[], sending: Sending, satellite: string | undefined): Promise<unknown> {
    const { port, self, clock } = this.#parts;
    const [first] = targets;
    if (first === undefined || targets.length > 1) return this.#submitToSeveral(message, targets, sending, satellite);
    const submitted = port.submit(this.#outgoing(message, encodeDict(message, self().hostId, clock.now()), first, sending, satellite));
    this.#submitted(message, first);
    return submitted;
  }

  async #submitToSeveral(message: Message, targets: readonly Target[], sending: Sending, satellite: string | undefined): Promise<void> {
    const { port, self, clock, onOutcome } = this.#parts;
    const payload = encodeDict(message, self().hostId, clock.now());
    const results = await Promise.allSettled(
      targets.map((target) => port.submit(this.#outgoing(message, payload, target, sending, satellite))),
    );
    const failed = results.flatMap((result, index) =>
      result.status === 'rejected' ? [[targets[index], result.reason as unknown] as const] : [],
    );
    if (failed.length === targets.length) throw failed[0]?.[1];
    for (const [index, { status }] of results.entries()) if (status === 'fulfilled') this.#submitted(message, targets[index]);
    for (const [target, error] of failed) {
      if (!RelayError.is(error)) throw error;
      const node = target?.type === 'node' ? target.id : undefined;
      if (satellite !== undefined) onOutcome({ id: message.id, satellite, status: 'dropped', reason: error.message, node });
    }
  }

  /** Sends a message like {@link submit}, for a sender that does not wait for it: a refusal is only logged. */
  send(message: Message, targets: readonly Target[], sending: Sending, satellite: string | undefined): void {
    const { port, self, clock, log } = this.#parts;
    const refused = (error: unknown): void => {
      const text = `${describeMessage(message)} is not sent to other nodes: ${reasonOf(error)}`;
      // The program may want to know that it sends too fast. A relay that stops loses what is in memory anyway.
      if (RelayError.is(error) && error.code === 'LIMIT') this.#warnings.warn(text);
      else log.debug(text);
    };
    const [first] = targets;
    if (first === undefined || targets.length > 1) {
      this.#submitToSeveral(message, targets, sending, satellite).catch(refused);
      return;
    }
    port.send(this.#outgoing(message, encodeDict(message, self().hostId, clock.now()), first, sending, satellite), refused);
    this.#submitted(message, first);
  }

  #submitted(message: Message, target: Target | undefined): void {
    const { log } = this.#parts;
    if (target && log.isDebugEnabled()) log.debug(`submitted ${describeMessage(message)} to ${describeTarget(target)}`);
  }

  /** Reads an arrival. Throws RelayErrors INVALID_PARAMS, LIMIT and ORIGIN_REFUSED. */
  read(arrival: MeshArrival, knows: FromNode['knows']): ReadArrival {
    const { port, self, mint, maxDictBytes } = this.#parts;
    return messageFromNode({ arrival, self: port.id, identity: self(), index: this.#index, mint, maxDictBytes, knows });
  }

  #reported({ id: meshId, status, reason, node, ref }: MeshOutcome): void {
    // A relay also reports what becomes of messages that it passes on.
    if (!meshId.startsWith(`${this.#parts.port.id}.`) || !ref.startsWith(REF)) return;
    const [id = '', proof = '', ...names] = ref.slice(REF.length).split(' ');
    if (names.length === 0 || !this.#isGenuine(meshId, id, proof)) return;
    this.#parts.onOutcome({ id, satellite: names.join(' '), status, reason, node });
  }

  /** A message on its way to a target. Written without spreads, which are slow: this runs for every message. */
  #outgoing(message: Message, payload: Buffer, target: Target, sending: Sending, satellite: string | undefined): MeshMessage {
    return {
      target,
      contentType: DICT,
      payload,
      isDurable: sending.isDurable,
      isOrdered: sending.isOrdered,
      ttlMs: sending.ttlMs,
      hostId: message.hostId,
      generation: message.generation,
      ref: this.#refOf(message.id, satellite, target),
    };
  }

  /** What an outcome is recognized by: nothing if no satellite of this relay sent the message. */
  #refOf(id: string, satellite: string | undefined, target: Target): string {
    if (satellite === undefined) return '';
    const proof = target.type === 'all' ? '' : this.#proofOf(id, target.type === 'node' ? target.id : ANY);
    const ref = `${REF}${id} ${proof} ${satellite}`;
    return Buffer.byteLength(ref) > MAX_REF_BYTES ? '' : ref;
  }

  /** A node returns the reference itself: without a proof, it could report about a message that was not for it. */
  #isGenuine(meshId: string, id: string, proof: string): boolean {
    const target = TARGET.exec(meshId)?.[1];
    // The key of an earlier start is gone.
    if (target === undefined || !id.startsWith(this.#parts.mint.idPrefix)) return true;
    return proof === this.#proofOf(id, target) || proof === this.#proofOf(id, ANY);
  }

  #proofOf(id: string, target: string): string {
    return createHmac('sha256', this.#key).update(`${id} ${target}`).digest('base64url').slice(0, 16);
  }
}

const NO_TARGETS: readonly Target[] = [];

/** The nodes that a target means, for hooks: `mesh`, `node:<id>` or `any:<capability>`. */
export function describeTarget(target: Target): string {
  if (target.type === 'node') return `node:${target.id}`;
  return target.type === 'any' ? `any:${target.capability}` : 'mesh';
}

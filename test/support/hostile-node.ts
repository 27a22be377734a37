/** A node that is trusted and behaves as badly as it can: proves its key to a relay on a socket, and then sends it any frames it likes. */
import { randomBytes } from 'node:crypto';
import {
  OwnNode,
  SESSION_HEADER,
  agree,
  openHello,
  proofOnWire,
  readAnswer,
  readSide,
  requestHeader,
  sideOnWire,
} from '../../src/identity/identity.ts';
import type { SessionKeys } from '../../src/identity/identity.ts';
import { ed25519Crypto } from '../../src/mesh-core/mesh-core.ts';
import type { Envelope, Frame, Head, LinkState, Signer } from '../../src/mesh-core/mesh-core.ts';
import { signState } from '../../src/mesh-core/link-state.ts';
import { encodeHead } from '../../src/mesh-core/message.ts';
import { sealGroup } from '../../src/mesh-core/seal.ts';
import { frameOnWire } from '../../src/mesh/frames.ts';
import { isDict } from '../../src/values/values.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { request } from '../http/raw.ts';

/** A key with which link states and messages can be signed, also of a node that does not exist. */
export class HostileKey {
  readonly own = new OwnNode({ seed: randomBytes(32).toString('base64url'), options: { trust: 'insecure', nick: 'hostile' } });
  readonly signer: Signer = { publicKey: this.own.key.pub, sign: this.own.key.sign };

  get id(): string {
    return this.own.id;
  }

  /** A signed link state. */
  state(change: Partial<LinkState> = {}): Buffer {
    const common = { nick: 'hostile', addresses: [], hostIds: [], capabilities: [], load: 0, neighbours: [], isLeaving: false };
    return signState({ ...common, id: this.id, epoch: 1, sequence: 1, ...change }, this.signer, ed25519Crypto).bytes;
  }

  /** A signed message for a node, as it comes from this one. */
  message(target: string | undefined, number: number, payload: Buffer, change: Partial<Head> = {}): Envelope {
    const head = encodeHead({
      ...{ origin: this.id, epoch: 1, target, number, low: 1, sentAt: 0, ttlMs: 60_000, isDurable: false, isOrdered: false },
      ...{ hostId: '', generation: 0, ref: '', contentType: 'dict', payloadHash: ed25519Crypto.hash(payload), ...change },
    });
    const [seal = Buffer.alloc(0)] = sealGroup([head], this.signer, ed25519Crypto);
    return { head, seal, payload, hops: 15, ageMs: 0, via: [this.id] };
  }
}

/** See the head of this file. */
export class HostileNode extends HostileKey {
  readonly #url: string;
  readonly #channel = randomBytes(16).toString('hex');
  #keys: SessionKeys | undefined;
  #requests = 0;
  #pushes = 0;
  #sent = 0;

  constructor(url: string) {
    super();
    this.#url = url;
    this.own.describe({ addrs: [], hostIds: ['0123456789abcdef@127.0.0.1:9'] });
  }

  /** Proves its key, opens a channel, and brings the link up. `id` is that of the relay. */
  async join(relay: string): Promise<void> {
    const own = openHello(this.own.self);
    const first = await this.#post('relay.hello', [sideOnWire(own.own)]);
    if (!isDict(first)) throw new Error('no hello');
    const side = readSide(first);
    const { keys, transcript } = agree(own.own, side, own, Buffer.alloc(0));
    const second = { v: 1, hello: side.nonce, ...proofOnWire(this.own.self, 'initiator', transcript) };
    const decided = readAnswer(await this.#post('relay.hello', [second]), keys);
    if (decided?.answer !== 'trusted') throw new Error(`not trusted: ${decided?.reason ?? ''}`);
    this.#keys = keys;
    const state = this.state({ neighbours: [{ id: relay, cost: 1 }] });
    await this.push({ type: 'sync', versions: [] }, { type: 'states', states: [state], isAnswer: true });
  }

  /** Calls a method in its session. Rejects with the text of a fault. */
  async call(method: string, ...params: Sendable[]): Promise<Value> {
    return this.#post(method, params, this.#keys);
  }

  /** Sends frames; returns those that the relay answers. */
  async push(...frames: (Frame | Sendable)[]): Promise<readonly Dict[]> {
    const answer = await this.pushAs(++this.#pushes, ...frames);
    if (typeof answer.closed === 'string') throw new Error(`closed: ${answer.closed}`);
    return (answer.frames ?? []) as readonly Dict[];
  }

  /** Sends frames under any number. */
  async pushAs(number: Sendable, ...frames: (Frame | Sendable)[]): Promise<Dict> {
    const onWire = frames.map((frame) => (isFrame(frame) ? frameOnWire(frame) : frame));
    const answer = await this.call('relay.push', this.#channel, number, onWire);
    if (!isDict(answer)) throw new Error('no struct');
    return answer;
  }

  /** Waits for messages until they contain this text; returns all that came, as bytes. */
  async messages(text: string): Promise<string> {
    let all = '';
    while (!all.includes(text)) {
      const answer = await this.call('relay.pull', this.#channel, 1000);
      const frames = isDict(answer) && Array.isArray(answer.frames) ? (answer.frames as readonly Dict[]) : [];
      for (const { items } of frames) if (Buffer.isBuffer(items)) all += items.toString('latin1');
    }
    return all;
  }

  /** A frame with these messages, the next ones of its link. */
  batch(items: readonly Envelope[], ack: Partial<Extract<Frame, { type: 'push' }>['ack']> = {}): Frame {
    const first = this.#sent + 1;
    this.#sent += items.length;
    return { type: 'push', first, items, ack: { ...NO_ACK, ...ack } };
  }

  async #post(method: string, params: readonly Sendable[], keys?: SessionKeys): Promise<Value> {
    const body = serialiseCall(method, params, { nil: true, i8: true });
    const headers = keys && { [SESSION_HEADER]: requestHeader(keys, ++this.#requests, body) };
    const answer = await request(this.#url, { body, ...(headers && { headers }) });
    const parsed = parseResponse(answer.body);
    if (parsed.kind === 'fault') throw new Error(`fault ${parsed.code}: ${parsed.text}`);
    return parsed.value;
  }
}

/** An acknowledgement of nothing. */
export const NO_ACK = { through: 0, next: 1, hasGap: false, returned: [], seen: 0, window: 256 } as const;

function isFrame(frame: Frame | Sendable): frame is Frame {
  return typeof frame === 'object' && frame !== null && 'type' in frame;
}

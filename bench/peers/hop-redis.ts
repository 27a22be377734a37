/** Hops over Redis, by the few commands that they take: publish and subscribe, and a stream that is read by a group per receiver. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { checkDict } from './hop-json.ts';
import type { Hop } from './hop.ts';

/** A reply; undefined is a nil. */
type Reply = Buffer | number | undefined | readonly Reply[];

const NAME = 'bench';
// Entries that a receiver reads at once, and that the stream keeps.
const [READ, KEPT] = ['512', '20000'];

function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** Reads the reply at `at`; undefined if it is incomplete. */
function readReply(bytes: Buffer, at: number): { readonly reply: Reply; readonly end: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const [type, line, next] = [bytes[at], bytes.toString('latin1', at + 1, lineEnd), lineEnd + 2];
  switch (type) {
    case 0x2d: // -
      throw new Error(`Redis: ${line}`);
    case 0x3a: // :
      return { reply: Number(line), end: next };
    case 0x24: {
      // $
      if (Number(line) < 0) return { reply: undefined, end: next };
      const end = next + Number(line);
      return bytes.length < end + 2 ? undefined : { reply: bytes.subarray(next, end), end: end + 2 };
    }
    case 0x2a: {
      // *
      if (Number(line) < 0) return { reply: undefined, end: next };
      const list: Reply[] = [];
      let end = next;
      while (list.length < Number(line)) {
        const one = readReply(bytes, end);
        if (!one) return undefined;
        list.push(one.reply);
        ({ end } = one);
      }
      return { reply: list, end };
    }
    default:
      return { reply: bytes.subarray(at + 1, lineEnd), end: next };
  }
}

/** A connection; its replies come in the order of the commands, and what is published comes at any time. */
class Redis {
  readonly #socket: Socket;
  readonly #waiting: ((reply: Reply) => void)[] = [];
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket, onPublished: (payload: Buffer) => void) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
      let at = 0;
      for (let one = readReply(this.#rest, at); one; one = readReply(this.#rest, at)) {
        at = one.end;
        const [kind, , payload] = Array.isArray(one.reply) ? (one.reply as readonly Reply[]) : [];
        if (Buffer.isBuffer(kind) && kind.toString() === 'message' && Buffer.isBuffer(payload)) onPublished(payload);
        else this.#waiting.shift()?.(one.reply);
      }
      this.#rest = this.#rest.subarray(at);
    });
  }

  static async open(port: number, onPublished: (payload: Buffer) => void = () => undefined): Promise<Redis> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new Redis(socket, onPublished);
  }

  send(...words: readonly string[]): Promise<Reply> {
    this.#socket.write(command(...words));
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}

/** Nothing is stored; a publish is answered at once. */
export const published: Hop = {
  concurrency: 1_024,
  receive: async ({ count, port, onDict }) => {
    for (let n = 0; n < count; n++) {
      const redis = await Redis.open(port, (payload) => {
        checkDict(payload);
        onDict();
      });
      await redis.send('SUBSCRIBE', NAME);
    }
    return [];
  },
  send: async ({ port }) => {
    const redis = await Redis.open(port);
    return (dict) => redis.send('PUBLISH', NAME, JSON.stringify(dict));
  },
};

/** Every entry is acknowledged to the sender once it is in the stream, and by each receiver once it has it. */
export const streamed: Hop = {
  concurrency: 1_024,
  isStored: true,
  receive: async ({ count, port, onDict }) => {
    for (let n = 0; n < count; n++) {
      const [redis, group] = [await Redis.open(port), `receiver-${process.pid}-${n}`];
      await redis.send('XGROUP', 'CREATE', NAME, group, '$', 'MKSTREAM');
      void readAll(redis, group, onDict);
    }
    return [];
  },
  send: async ({ port }) => {
    const redis = await Redis.open(port);
    return (dict) => redis.send('XADD', NAME, 'MAXLEN', '~', KEPT, '*', 'dict', JSON.stringify(dict));
  },
};

async function readAll(redis: Redis, group: string, onDict: () => void): Promise<never> {
  for (;;) {
    const streams = (await redis.send('XREADGROUP', 'GROUP', group, 'one', 'COUNT', READ, 'BLOCK', '0', 'STREAMS', NAME, '>')) as
      readonly (readonly [Buffer, readonly (readonly [Buffer, readonly [Buffer, Buffer]])[]])[] | undefined;
    const entries = streams?.[0]?.[1] ?? [];
    for (const [, [, payload]] of entries) {
      checkDict(payload);
      onDict();
    }
    void redis.send('XACK', NAME, group, ...entries.map(([id]) => id.toString()));
  }
}

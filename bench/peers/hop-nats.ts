/** Hops over NATS, by the few lines of its text protocol that they take: core, and JetStream with acknowledgements on both sides. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { checkDict } from './hop-json.ts';
import type { Hop } from './hop.ts';

/** Calls `onLine` with each line that arrives, and with what follows a line `MSG`. */
function readLines(socket: Socket, onLine: (verb: string, words: readonly string[], payload: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
      const [verb = '', ...words] = rest.toString('latin1', 0, end).split(' ');
      const length = verb === 'MSG' ? Number(words.at(-1)) : 0;
      const next = end + 2 + (verb === 'MSG' ? length + 2 : 0);
      if (rest.length < next) return;
      onLine(verb, words, rest.subarray(end + 2, end + 2 + length));
      rest = rest.subarray(next);
    }
  });
}

/** A message: what it was sent to, where to an answer goes, and its payload. */
interface Message {
  readonly subject: string;
  readonly reply: string | undefined;
  readonly payload: Buffer;
}

/** Connects, and waits until the server has read what is sent here. */
async function open(port: number, subject: string | undefined, onMessage: (message: Message) => void): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const isReady = new Promise<void>((resolve) => {
    readLines(socket, (verb, words, payload) => {
      if (verb === 'MSG') {
        const [to = '', , ...others] = words;
        onMessage({ subject: to, reply: others.length > 1 ? others[0] : undefined, payload });
      } else if (verb === 'PING') socket.write('PONG\r\n');
      else if (verb === 'PONG') resolve();
      else if (verb === '-ERR') throw new Error(`NATS: ${words.join(' ')}`);
    });
  });
  socket.write(`CONNECT {"verbose":false,"pedantic":false}\r\n${subject === undefined ? '' : `SUB ${subject} 1\r\n`}PING\r\n`);
  await isReady;
  return socket;
}

function publication(subject: string, payload: string, reply = ''): string {
  return `PUB ${subject} ${reply === '' ? '' : `${reply} `}${Buffer.byteLength(payload)}\r\n${payload}\r\n`;
}

/** Sends, and waits while the connection takes nothing more. */
function write(socket: Socket, text: string): Promise<unknown> | undefined {
  return socket.write(text) ? undefined : once(socket, 'drain');
}

export const core: Hop = {
  concurrency: 1,
  receive: async ({ count, port, onDict }) => {
    const onMessage = ({ payload }: Message): void => {
      checkDict(payload);
      onDict();
    };
    await Promise.all(Array.from({ length: count }, () => open(port, 'bench', onMessage)));
    return [];
  },
  send: async ({ port }) => {
    const socket = await open(port, undefined, () => undefined);
    return (dict) => write(socket, publication('bench', JSON.stringify(dict)));
  },
};

const STREAM = 'BENCH';

/** Calls `method` of the JetStream API. */
async function api(port: number, method: string, params: object): Promise<void> {
  const inbox = `_INBOX.api-${process.pid}`;
  const answered = new Promise<Buffer>((resolve, reject) => {
    open(port, inbox, ({ payload }) => {
      resolve(payload);
    }).then((socket) => socket.write(publication(`$JS.API.${method}`, JSON.stringify(params), inbox)), reject);
  });
  const { error } = JSON.parse((await answered).toString()) as { readonly error?: { readonly description: string } };
  if (error) throw new Error(`JetStream: ${method}: ${error.description}`);
}

/** A stream in files, and a consumer per receiver that acknowledges each message. The server syncs its files only now and then. */
export const jetStream: Hop = {
  concurrency: 1_024,
  isStored: true,
  receive: async ({ count, port, onDict }) => {
    await api(port, `STREAM.CREATE.${STREAM}`, { name: STREAM, subjects: ['jetstream'], storage: 'file', retention: 'interest' });
    for (let n = 0; n < count; n++) {
      const [name, deliver] = [`receiver-${n}`, `deliver-${n}`];
      const socket = await open(port, deliver, ({ reply = '', payload }) => {
        checkDict(payload);
        onDict();
        socket.write(publication(reply, '+ACK'));
      });
      const config = { durable_name: name, deliver_subject: deliver, ack_policy: 'explicit', max_ack_pending: 4_096 };
      await api(port, `CONSUMER.DURABLE.CREATE.${STREAM}.${name}`, { stream_name: STREAM, config });
    }
    return [];
  },
  send: async ({ port }) => {
    const waiting = new Map<string, () => void>();
    const inbox = `_INBOX.${process.pid}`;
    const socket = await open(port, `${inbox}.*`, ({ subject }) => {
      waiting.get(subject)?.();
      waiting.delete(subject);
    });
    let last = 0;
    return (dict) =>
      new Promise((resolve) => {
        const reply = `${inbox}.${++last}`;
        waiting.set(reply, () => {
          resolve(undefined);
        });
        socket.write(publication('jetstream', JSON.stringify(dict), reply));
      });
  },
};

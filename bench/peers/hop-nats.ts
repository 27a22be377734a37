/** A hop over NATS core, by the few lines of its text protocol that this takes. */
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

/** Connects, and waits until the server has read what is sent here. */
async function open(port: number, isSubscriber: boolean, onDict: () => void): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const isReady = new Promise<void>((resolve) => {
    readLines(socket, (verb, words, payload) => {
      if (verb === 'MSG') {
        checkDict(payload);
        onDict();
      } else if (verb === 'PING') socket.write('PONG\r\n');
      else if (verb === 'PONG') resolve();
      else if (verb === '-ERR') throw new Error(`NATS: ${words.join(' ')}`);
    });
  });
  socket.write(`CONNECT {"verbose":false,"pedantic":false}\r\n${isSubscriber ? 'SUB bench 1\r\n' : ''}PING\r\n`);
  await isReady;
  return socket;
}

export const hop: Hop = {
  concurrency: 1,
  receive: async ({ count, port, onDict }) => {
    await Promise.all(Array.from({ length: count }, () => open(port, true, onDict)));
    return [];
  },
  send: async ({ port }) => {
    const socket = await open(port, false, () => undefined);
    return (dict) => {
      const json = JSON.stringify(dict);
      return socket.write(`PUB bench ${Buffer.byteLength(json)}\r\n${json}\r\n`) ? undefined : once(socket, 'drain');
    };
  },
};

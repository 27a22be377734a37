/**
 * http: on an HTTPS port and https: on an HTTP port: the client, the command and the relay's log report it. openssl makes the certificate.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { answersIn, everything, open } from '../http/raw.ts';
import { run, runCo2 } from '../support/processes.ts';
import { startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

async function startSecure(t: ExecutionContext, requestTimeoutMs = 30_000): Promise<TestRelay> {
  const dir = temporaryDir(t);
  const subject = ['-subj', '/CN=relay', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, '-keyout', 'key.pem', '-out', 'cert.pem'];
  const { code, stderr } = await run(t, 'openssl', args, { cwd: dir }).exit;
  t.is(code, 0, stderr.join('\n'));
  const socket = join(dir, 'co2.sock');
  const tls = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
  return startRelay(t, { tls, unixSocket: socket, host: ['127.0.0.1', '127.0.0.2'], requestTimeoutMs });
}

const plainly = (url: string): string => url.replace('https:', 'http:');

async function message(t: ExecutionContext, url: string): Promise<string> {
  const client = new XmlRpcClient(url);
  t.teardown(() => client.close());
  return (await t.throwsAsync(client.call('ping'))).message;
}

test.serial('plain HTTP at an HTTPS port gets a status 400 that says so, whatever its verb and however it is cut', async (t) => {
  const relay = await startSecure(t);
  const { port } = new URL(relay.url);
  for (const url of [plainly(relay.url), `http://127.0.0.2:${port}`]) {
    for (const start of [
      'GET / HTTP/1.1',
      'POST /RPC2 HTTP/1.1',
      'OPTIONS * HTTP/1.1',
      'PROPFIND / HTTP/1.0',
      'get /',
      '\r\nGET / HTTP/1.1',
    ]) {
      const bytes = Buffer.from(`${start}\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello`);
      for (const size of [1, bytes.length]) {
        const socket = open(url, bytes.subarray(0, size));
        socket.write(bytes.subarray(size));
        const [answer] = answersIn(await everything(socket));
        t.is(answer?.status, 400, start);
        t.is(answer?.headers['content-type'], 'text/plain; charset=utf-8');
        t.regex(answer?.body.toString() ?? '', /^this port speaks HTTPS: use https:\/\/ in the URL instead of http:\/\/\n$/);
      }
    }
  }
  // At most one line a second, which counts the suppressed ones.
  t.true(relay.log.matching(/^127\.0\.0\.1 used plain HTTP on this HTTPS port; it must use https:\/\//).length >= 1);
  t.true(relay.log.matching(/used plain HTTP/).length < 24);
});

test.serial('TLS in pieces is read as TLS, and a connection that sends nothing is closed', async (t) => {
  const relay = await startSecure(t, 500);
  const port = Number(new URL(relay.url).port);
  // Between the client and the relay: one byte at a time, each sent after the previous one was flushed.
  const slicer = createServer((near) => {
    const far = open(plainly(relay.url), Buffer.alloc(0)).setNoDelay(true);
    far.pipe(near);
    near.on('error', () => undefined);
    void (async () => {
      for await (const chunk of near as AsyncIterable<Buffer>)
        for (const byte of chunk) await new Promise((resolve) => far.write(Buffer.of(byte), resolve));
      far.end();
    })().catch(() => far.destroy());
  }).listen(0, '127.0.0.1');
  t.teardown(() => slicer.close());
  await once(slicer, 'listening');
  const secure = connectTls({ host: '127.0.0.1', port: (slicer.address() as AddressInfo).port, rejectUnauthorized: false });
  secure.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n');
  t.regex((await everything(secure)).toString(), /^HTTP\/1\.1 200 /);
  t.is((await everything(open(`http://127.0.0.1:${port}`, Buffer.alloc(0)))).length, 0);
  const gone: Socket = open(`http://127.0.0.1:${port}`, Buffer.alloc(0));
  await once(gone, 'connect');
  gone.resetAndDestroy();
  t.like(answersIn(await everything(open(plainly(relay.url), Buffer.from('GET / HTTP/1.1\r\n\r\n'))))[0], { status: 400 });
});

test.serial('our client and our command say which scheme to use, on either side', async (t) => {
  const secure = await startSecure(t);
  const plain = await startRelay(t);
  t.regex(
    await message(t, plainly(secure.url)),
    /answered HTTP 400: this port speaks HTTPS: use https:\/\/ in the URL instead of http:\/\/$/,
  );
  const url = plain.url.replace('http:', 'https:');
  t.regex(
    await message(t, url),
    /it does not speak TLS on this port; if it is an HTTP server, use http:\/\/ in the URL instead of https:\/\/$/,
  );
  await plain.log.line(/^127\.0\.0\.1 used HTTPS on this HTTP port; it must use http:\/\/ in the URL/);
  const command = async (url: string): Promise<string> => {
    const { code, stderr } = await runCo2(t, { args: ['ping', '--url', url] }).exit;
    t.is(code, 3);
    return stderr.join('\n');
  };
  t.regex(await command(plainly(secure.url)), /^co2: .*: this port speaks HTTPS: use https:\/\/.*$/);
  t.regex(await command(url), /^co2: .*use http:\/\/ in the URL instead of https:\/\/$/);
});

test.serial('an answer that is a TLS alert is named as one', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).end(Buffer.of(0x15, 3, 1, 0, 2, 2, 0x46));
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  t.regex(await message(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}`), /it speaks HTTPS on this port; use https:\/\//);
});

test.serial('of a server that just closes the command says that it may be an HTTPS server', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.destroy());
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { code, stderr } = await runCo2(t, { args: ['ping', '--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`] }).exit;
  t.is(code, 3);
  t.regex(stderr.join('\n'), /^co2: .*; if it is an HTTPS server, use https:\/\/ in the URL$/);
});

test.serial('the parser of an HTTP port still calls other rubbish what it is', async (t) => {
  const { url, log } = await startRelay(t);
  const [answer] = answersIn(await everything(open(url, Buffer.from('rubbish\r\n\r\n'))));
  t.is(answer?.status, 400);
  t.notRegex(answer?.body.toString() ?? '', /http:/);
  const [tls] = answersIn(await everything(open(url, Buffer.of(0x16, 3, 1, 2, 0, 1))));
  t.regex(tls?.body.toString() ?? '', /^this port speaks HTTP without TLS: use http:\/\/ in the URL instead of https:\/\/\n$/);
  t.is(log.matching(/used HTTPS on this HTTP port/).length, 1);
});

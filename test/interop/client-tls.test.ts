/**
 * The client over HTTPS with certificates made by openssl: which servers it trusts, which client certificate it sends, and its errors
 * otherwise.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { RelayError, createClient } from '../../src/client/client.ts';
import type { ClientTlsOptions } from '../../src/client/client.ts';
import { serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { run } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';

interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A self-signed certificate. */
async function certificate(t: ExecutionContext, name: string, alternative: string): Promise<Pair> {
  const cwd = temporaryDir(t);
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${alternative}`];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, '-keyout', 'key.pem', '-out', 'cert.pem'];
  const { code, stderr } = await run(t, 'openssl', args, { cwd }).exit;
  t.is(code, 0, stderr.join('\n'));
  return { cert: readFileSync(join(cwd, 'cert.pem')), key: readFileSync(join(cwd, 'key.pem')) };
}

/** A server that answers with the name in the client's certificate, and trusts those that the certificates in `believed` signed. */
async function serving(t: ExecutionContext, own: Pair, believed: Buffer): Promise<string> {
  const server = createServer({ ...own, ca: believed, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    const socket = request.socket as TLSSocket;
    const name = socket.authorized ? String(socket.getPeerCertificate().subject.CN) : 'anonymous';
    response.setHeader('content-type', 'text/xml').end(serialiseResponse(name));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function call(t: ExecutionContext, url: string, tls: ClientTlsOptions): Promise<unknown> {
  const client = createClient(url, { tls });
  t.teardown(() => client.close());
  return client.call('who');
}

test('the client only talks to servers with a trusted certificate for the right name', async (t) => {
  const [address, other, mine] = await Promise.all([
    certificate(t, 'server', 'IP:127.0.0.1'),
    certificate(t, 'other', 'DNS:other.example'),
    certificate(t, 'ann', 'DNS:ann.example'),
  ]);
  const url = await serving(t, address, mine.cert);
  t.is(await call(t, url, { ca: address.cert }), 'anonymous');
  t.is(await call(t, url, { ca: [other.cert, address.cert.toString()], cert: mine.cert, key: mine.key }), 'ann');
  t.is(await call(t, url, { rejectUnauthorized: false }), 'anonymous');
  const unknown = await t.throwsAsync(call(t, url, {}), {
    message: /^127\.0\.0\.1:\d+: its certificate is self-signed; name it in tls\.ca/,
  });
  t.true(RelayError.is(unknown) && unknown.code === 'TRANSPORT');
  await t.throwsAsync(call(t, url, { ca: other.cert }), { message: /tls\.ca/ });

  const otherUrl = await serving(t, other, mine.cert);
  await t.throwsAsync(call(t, otherUrl, { ca: other.cert }), { message: /its certificate is for another name.*tls\.servername/ });
  t.is(await call(t, otherUrl, { ca: other.cert, servername: 'other.example' }), 'anonymous');
});

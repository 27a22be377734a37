/** HTTPS with certificates made by openssl: curl and Python can use it, and a renewed certificate is served without a restart. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createRelay } from '../../src/create-relay.ts';
import { TlsWatch, tlsSignature } from '../../src/http/tls.ts';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import type { Received } from '../fixtures/recorder/test/recorder.ts';
import { Gate } from '../support/gate.ts';
import { LogRecord } from '../support/log-record.ts';
import { run, startCo2 } from '../support/processes.ts';
import { RECORDER_DIR, temporaryDir } from '../support/relays.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** Writes cert.pem and key.pem for 127.0.0.1 to `dir`. */
async function certificate(t: ExecutionContext, dir: string, name: string): Promise<void> {
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, '-keyout', 'key.pem', '-out', 'cert.pem'];
  const { code, stderr } = await run(t, 'openssl', args, { cwd: dir }).exit;
  t.is(code, 0, stderr.join('\n'));
}

/** The name in the served certificate. */
function servedName(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test.serial('curl and Python call over HTTPS, and in the clear there is nothing but the advice to use it', async (t) => {
  const cwd = temporaryDir(t);
  await certificate(t, cwd, 'first');
  writeFileSync(join(cwd, 'config.ts'), "export default { tls: { certFile: 'cert.pem', keyFile: 'key.pem' } };");
  const { url } = await startCo2(t, { cwd });
  t.regex(url, /^https:\/\/127\.0\.0\.1:\d+$/);
  const ping = ['-H', 'Content-Type: text/xml', '-d', '<methodCall><methodName>ping</methodName></methodCall>'];
  const curl = await run(t, 'curl', ['-sS', '--max-time', '20', '--cacert', 'cert.pem', ...ping, `${url}/RPC2`], { cwd }).exit;
  t.regex(curl.stdout.join(''), /<boolean>1<\/boolean>/, curl.stderr.join('\n'));
  const page = await run(t, 'curl', ['-sS', '--max-time', '20', '--cacert', 'cert.pem', url], { cwd }).exit;
  t.true(page.stdout.join('\n').includes(`POST ${url}/RPC2`));
  const script = `import ssl, xmlrpc.client
context = ssl.create_default_context(cafile='cert.pem')
print(xmlrpc.client.ServerProxy('${url}', context=context).ping())`;
  const python = await run(t, 'python3', ['-c', script], { cwd }).exit;
  t.deepEqual(python.stdout, ['True'], python.stderr.join('\n'));
  const clear = await run(t, 'curl', ['-sS', '--max-time', '20', url.replace('https', 'http')], { cwd }).exit;
  t.deepEqual(clear.stdout, ['this port speaks HTTPS: use https:// in the URL instead of http://']);
});

test.serial('the unix socket of an HTTPS relay speaks plain HTTP, and its callers are local', async (t) => {
  const cwd = temporaryDir(t);
  await certificate(t, cwd, 'first');
  writeFileSync(join(cwd, 'config.ts'), "export default { tls: { certFile: 'cert.pem', keyFile: 'key.pem' }, unixSocket: 'co2.sock' };");
  await startCo2(t, { cwd });
  const notify = serialiseCall('notify', [{ data: 1 }]).toString();
  const sent = ['--unix-socket', 'co2.sock', '-H', 'Content-Type: text/xml', '-d', notify, 'http://localhost/RPC2'];
  const curl = await run(t, 'curl', ['-sS', '--max-time', '20', ...sent], { cwd }).exit;
  t.regex(curl.stdout.join(''), /<boolean>1<\/boolean>/, curl.stderr.join('\n'));
});

test.serial('a renewed certificate is served after the next check; a bad one is logged and changes nothing', async (t) => {
  const dir = temporaryDir(t);
  await certificate(t, dir, 'first');
  const clock = new VirtualClock();
  const log = new LogRecord();
  const tls = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
  const config = { port: 0, dataDir: join(dir, 'state'), pluginsDir: RECORDER_DIR, tls };
  const relay = await createRelay(config, { clock, logs: log.source });
  t.teardown(() => relay.stop());
  t.is(await servedName(relay.url), 'first');
  await certificate(t, dir, 'second');
  t.is(await servedName(relay.url), 'first');
  clock.advance(5000);
  t.is(await servedName(relay.url), 'second');
  writeFileSync(tls.certFile, 'cut');
  clock.advance(15_000);
  t.is(await servedName(relay.url), 'second');
  t.is(log.matching(/keeping the present certificate/).length, 1);
  // A new certificate whose key has not been written yet.
  const otherDir = temporaryDir(t);
  await certificate(t, otherDir, 'half');
  copyFileSync(join(otherDir, 'cert.pem'), tls.certFile);
  clock.advance(5000);
  t.is(await servedName(relay.url), 'second');
  t.is(log.matching(/keeping the present certificate/).length, 2);
  await certificate(t, dir, 'third');
  clock.advance(5000);
  t.is(await servedName(relay.url), 'third');
});

test.serial('a certificate that is renewed while the relay starts is served at the first look', async (t) => {
  const dir = temporaryDir(t);
  const later = temporaryDir(t);
  await certificate(t, dir, 'first');
  await certificate(t, later, 'second');
  const clock = new VirtualClock();
  const log = new LogRecord();
  const tls = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
  const names = ['cert.pem', 'key.pem'];
  const relay = await createRelay(
    { port: 0, dataDir: join(dir, 'state'), pluginsDir: RECORDER_DIR, tls },
    {
      clock,
      logs: (category) => {
        // The server asks for its logger right after it has read the files.
        if (category === 'http') for (const name of names.splice(0)) copyFileSync(join(later, name), join(dir, name));
        return log.source(category);
      },
    },
  );
  t.teardown(() => relay.stop());
  t.is(await servedName(relay.url), 'first');
  clock.advance(5000);
  t.is(await servedName(relay.url), 'second');
});

test.serial(
  'a certificate that could not be loaded is retried at every check even if the files stay the same, and logged once',
  async (t) => {
    const dir = temporaryDir(t);
    await certificate(t, dir, 'first');
    const clock = new VirtualClock();
    const log = new LogRecord();
    let tries = 0;
    const apply = (): void => {
      if (++tries < 3) throw new Error('too many open files');
    };
    const files = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
    const watch = new TlsWatch(files, tlsSignature(files), apply, clock, log.source('http'));
    watch.start();
    await certificate(t, dir, 'second');
    for (let look = 1; look <= 4; look++) {
      clock.advance(5000);
      t.is(tries, Math.min(look, 3));
    }
    t.is(log.matching(/keeping the present certificate: too many open files/).length, 1);
    t.is(log.matching(/cert\.pem has changed/).length, 1);
    watch.stop();
  },
);

test.serial('a relay forwards to a peer over HTTPS if it trusts its certificate, and says why if not', async (t) => {
  const dir = temporaryDir(t);
  await certificate(t, dir, 'peer');
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const received = new Gate<Received>();
  const peer = await createRelay({
    ...{ port: 0, dataDir: join(dir, 'state'), pluginsDir: RECORDER_DIR, tls: { certFile, keyFile } },
    plugins: { 'test.recorder': { gate: received } },
  });
  t.teardown(() => peer.stop());
  const args = ['--peer', peer.url];
  const wary = await startCo2(t, { args });
  await wary.call('notify', { data: 'wary' });
  t.regex(await wary.stderr.line(/is down/), /certificate/);
  const trusting = await startCo2(t, { args, env: { NODE_EXTRA_CA_CERTS: certFile } });
  await trusting.call('notify', { data: 'trusting' });
  const [first] = await received.first(1);
  t.is(first?.dict.data, 'trusting');
});

test.serial('with caFile a client without a certificate of that authority is not let in', async (t) => {
  const dir = temporaryDir(t);
  await certificate(t, dir, 'first');
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const config = { port: 0, dataDir: join(dir, 'state'), pluginsDir: RECORDER_DIR, tls: { certFile, keyFile, caFile: certFile } };
  const relay = await createRelay(config);
  t.teardown(() => relay.stop());
  const curl = ['-sS', '--max-time', '20', '--cacert', certFile, relay.url];
  t.not((await run(t, 'curl', curl).exit).code, 0);
  t.is((await run(t, 'curl', ['--cert', certFile, '--key', keyFile, ...curl]).exit).code, 0);
});

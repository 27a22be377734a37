/** HTTPS with unusable files: the relay does not start, and names the option and the file. (HTTPS itself: test/interop/https.test.ts.) */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createRelay } from '../../src/create-relay.ts';
import { temporaryDir } from '../support/relays.ts';

test('missing, empty, mismatched and world-readable files are rejected', async (t) => {
  const dir = temporaryDir(t);
  const files = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
  const refused = async (says: RegExp): Promise<void> => {
    const starting = createRelay({ port: 0, dataDir: join(dir, 'state'), pluginsDir: dir, tls: files });
    await t.throwsAsync(starting, { code: 'CONFIG_INVALID', message: says });
  };
  await refused(/^tls\.certFile: .*cert\.pem cannot be read: there is no such file/);
  writeFileSync(files.certFile, '');
  await refused(/^tls\.certFile: .*cert\.pem is empty/);
  writeFileSync(files.certFile, 'no certificate');
  await refused(/^tls\.keyFile: .*key\.pem cannot be read/);
  writeFileSync(files.keyFile, 'no key');
  chmodSync(files.keyFile, 0o604);
  await refused(/^tls\.keyFile: .*open to all users.*chmod/);
  chmodSync(files.keyFile, 0o600);
  await refused(/^createRelay: tls: .*cert\.pem and .*key\.pem are not a certificate and its key/);
  files.certFile = dir;
  await refused(/^tls\.certFile: .* is not a regular file/);
});

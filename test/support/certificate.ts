/** Makes self-signed certificates for tests, with Node's own modules only. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DAY_MS = 86_400_000;
// Object identifiers, DER-encoded.
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex');

const SEQUENCE = 0x30;

/** Writes cert.pem and key.pem for 127.0.0.1 into `dir`; returns their paths in the form of the option `tls`. */
export function writeCertificate(dir: string): { certFile: string; keyFile: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der(SEQUENCE, ECDSA_WITH_SHA256);
  const name = der(SEQUENCE, der(0x31, der(SEQUENCE, COMMON_NAME, der(0x0c, Buffer.from('co2-relay test')))));
  const validity = der(SEQUENCE, utcTime(Date.now() - DAY_MS), utcTime(Date.now() + DAY_MS));
  const loopback = der(0x87, Buffer.of(127, 0, 0, 1));
  const extensions = der(0xa3, der(SEQUENCE, der(SEQUENCE, SUBJECT_ALT_NAME, der(0x04, der(SEQUENCE, loopback)))));
  // RFC 5280, section 4.1: version 3, a positive serial number, the algorithm, issuer, validity, subject, key, extensions.
  const version = der(0xa0, der(0x02, Buffer.of(2)));
  const serial = der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)]));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const content = der(SEQUENCE, version, serial, algorithm, name, validity, name, key, extensions);
  const signature = der(0x03, Buffer.of(0), sign('sha256', content, privateKey));
  const certificate = der(SEQUENCE, content, algorithm, signature);
  const files = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
  const lines = certificate.toString('base64').replace(/.{64}/g, '$&\n');
  writeFileSync(files.certFile, `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`);
  writeFileSync(files.keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return files;
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

function utcTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d{3}/g, '');
  return der(0x17, Buffer.from(digits.slice(2)));
}

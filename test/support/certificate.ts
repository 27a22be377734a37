/** Makes self-signed certificates for tests, with Node's own modules only. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DAY_MS = 86_400_000;
// Object identifiers, DER-encoded.
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex');

const BASIC_CONSTRAINTS = Buffer.from('0603551d13', 'hex');

const SEQUENCE = 0x30;

/** Paths in the form of the option `tls`. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Writes cert.pem and key.pem for 127.0.0.1 into `dir`; returns their paths in the form of the option `tls`. */
export function writeCertificate(dir: string): CertificateFiles {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = nameOf('co2-relay test');
  return write(
    dir,
    makeCertificate({ subject: name, issuer: name, publicKey: keys.publicKey, signer: keys.privateKey, nodes: [] }),
    keys.privateKey,
  );
}

/** An authority whose certificates are for 127.0.0.1 and for nodes. */
export interface Authority {
  readonly caFile: string;
  /** Writes cert.pem and key.pem into `dir`. */
  issue(dir: string, ...nodes: readonly string[]): CertificateFiles;
}

/** Makes an authority; its certificate is written into `dir`. */
export function makeAuthority(dir: string): Authority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = nameOf('co2-relay test authority');
  const own = makeCertificate({ subject: issuer, issuer, publicKey: keys.publicKey, signer: keys.privateKey });
  const caFile = join(dir, 'ca.pem');
  writeFileSync(caFile, own);
  return {
    caFile,
    issue: (target, ...nodes) => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const subject = nameOf('co2-relay test relay');
      return write(target, makeCertificate({ subject, issuer, publicKey, signer: keys.privateKey, nodes }), privateKey);
    },
  };
}

interface CertificateParts {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  /** The nodes that it names; undefined for the certificate of an authority. */
  readonly nodes?: readonly string[];
}

/** A certificate in PEM. */
function makeCertificate({ subject, issuer, publicKey, signer, nodes }: CertificateParts): string {
  const algorithm = der(SEQUENCE, ECDSA_WITH_SHA256);
  const validity = der(SEQUENCE, utcTime(Date.now() - DAY_MS), utcTime(Date.now() + DAY_MS));
  const names = [der(0x87, Buffer.of(127, 0, 0, 1)), ...(nodes ?? []).map((node) => der(0x86, Buffer.from(`co2:${node}`)))];
  const extension =
    nodes === undefined
      ? der(SEQUENCE, BASIC_CONSTRAINTS, der(0x01, Buffer.of(0xff)), der(0x04, der(SEQUENCE, der(0x01, Buffer.of(0xff)))))
      : der(SEQUENCE, SUBJECT_ALT_NAME, der(0x04, der(SEQUENCE, ...names)));
  const extensions = der(0xa3, der(SEQUENCE, extension));
  // RFC 5280, section 4.1: version 3, a positive serial number, the algorithm, issuer, validity, subject, key, extensions.
  const version = der(0xa0, der(0x02, Buffer.of(2)));
  const serial = der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)]));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const content = der(SEQUENCE, version, serial, algorithm, issuer, validity, subject, key, extensions);
  const signature = der(0x03, Buffer.of(0), sign('sha256', content, signer));
  const lines = der(SEQUENCE, content, algorithm, signature).toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function nameOf(commonName: string): Buffer {
  return der(SEQUENCE, der(0x31, der(SEQUENCE, COMMON_NAME, der(0x0c, Buffer.from(commonName)))));
}

function write(dir: string, certificate: string, key: KeyObject): CertificateFiles {
  const files = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
  writeFileSync(files.certFile, certificate);
  writeFileSync(files.keyFile, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
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

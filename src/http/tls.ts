/** The certificate and key of HTTPS, read from files at the start and again when they change. */
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, rootCertificates } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { RelayError, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { systemReason } from '../state/state.ts';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile?: string | undefined;
}

// Certificates are renewed days before they expire; three stat calls every few seconds cost nothing.
const CHECK_MS = 5_000;

/** Reads a certificate and its key. Throws a RelayError CONFIG_INVALID that names the option and the file. */
export function readTls(files: TlsFiles): SecureContextOptions {
  const context = {
    cert: read('tls.certFile', files.certFile),
    key: read('tls.keyFile', files.keyFile),
    ca: files.caFile === undefined ? undefined : read('tls.caFile', files.caFile),
  };
  try {
    createSecureContext(context);
  } catch (error) {
    const text = `tls: ${files.certFile} and ${files.keyFile} are not a certificate and its key: ${reasonOf(error)}`;
    throw new RelayError('CONFIG_INVALID', text, { cause: error });
  }
  return context;
}

/** What {@link TlsWatch} compares. Take it before the files are read, so that a change in between is noticed. */
export function tlsSignature({ certFile, keyFile, caFile }: TlsFiles): string {
  return [certFile, keyFile, caFile].map((file) => (file === undefined ? '' : stamp(file))).join();
}

/** Checks the files every few seconds and passes changed contents to `apply`. An invalid pair is logged, and the present one stays. */
export class TlsWatch {
  #applied: string;
  /** The signature of the contents that were logged as invalid. They are tried again: a file may have been incomplete or unreadable. */
  #failed: string | undefined;
  #cancel: (() => void) | undefined;

  /** `applied`: the signature of the contents in use. */
  constructor(
    private readonly files: TlsFiles,
    applied: string,
    private readonly apply: (context: SecureContextOptions) => void,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    this.#applied = applied;
  }

  start(): void {
    this.#wait();
  }

  stop(): void {
    this.#cancel?.();
  }

  #wait(): void {
    this.#cancel = this.clock.after(CHECK_MS, () => {
      this.#check();
      this.#wait();
    });
  }

  #check(): void {
    const seen = tlsSignature(this.files);
    if (seen === this.#applied) return;
    try {
      this.apply(readTls(this.files));
      this.#applied = seen;
      this.log.info(`${this.files.certFile} has changed: new connections get the new certificate`);
    } catch (error) {
      if (seen !== this.#failed) this.log.error(`keeping the present certificate: ${reasonOf(error)}`);
      this.#failed = seen;
    }
  }
}

function stamp(file: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    return reasonOf(error);
  }
}

function read(option: string, file: string): Buffer {
  const fail = (reason: string, cause?: unknown): never => {
    throw new RelayError('CONFIG_INVALID', `${option}: ${file} ${reason}`, { cause, data: { option, path: file } });
  };
  try {
    const stat = statSync(file);
    if (!stat.isFile()) return fail('is not a regular file');
    if (option === 'tls.keyFile' && process.platform !== 'win32' && (stat.mode & 0o007) !== 0)
      return fail('is open to all users of this machine: run chmod o-rwx on it');
    const content = readFileSync(file);
    return content.length > 0 ? content : fail('is empty');
  } catch (error) {
    if (RelayError.is(error)) throw error;
    return fail(`cannot be read: ${systemReason(error)}`, error);
  }
}

/**
 * What a link to another relay shows and believes, from the certificates of this one: it shows the same certificate, and believes the
 * authorities in `tls.caFile`; unless `onlyOwn`, also those that Node knows. Returns the same object as long as nothing changes.
 */
export function clientTls(current: () => SecureContextOptions | undefined, onlyOwn: boolean): () => ClientTls {
  let from: SecureContextOptions | undefined;
  let made: ClientTls = {};
  return () => {
    const now = current();
    if (now !== from) {
      from = now;
      made =
        now === undefined
          ? {}
          : { cert: now.cert as Buffer, key: now.key as Buffer, ca: authorities(now.ca as Buffer | undefined, onlyOwn) };
    }
    return made;
  };
}

/** Certificate, key and authorities of a client, PEM. */
export interface ClientTls {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Undefined: those that Node knows. */
  readonly ca?: readonly (string | Buffer)[] | undefined;
}

/** Node does not add its own authorities to given ones. */
function authorities(own: Buffer | undefined, onlyOwn: boolean): readonly (string | Buffer)[] | undefined {
  if (own === undefined) return undefined;
  if (onlyOwn) return [own];
  const extra = process.env.NODE_EXTRA_CA_CERTS;
  try {
    return [own, ...rootCertificates, ...(extra === undefined ? [] : [readFileSync(extra)])];
  } catch {
    // Node warns about it at its start.
    return [own, ...rootCertificates];
  }
}

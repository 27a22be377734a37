/** The certificate and key of HTTPS, read from files at the start and again when they change. */
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { RelayError, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';

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
    return fail(`cannot be read: ${reasonOf(error)}`, error);
  }
}

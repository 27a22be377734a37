/** HTTPS from files: read at the start, and again when they change. */
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

// Certificates are renewed days before they end; three stats every few seconds cost nothing.
const LOOK_MS = 5_000;

/** The contents of `files`, which belong together. Throws a RelayError CONFIG_INVALID that names option and file. */
export function readTls(files: TlsFiles): SecureContextOptions {
  const context = {
    cert: read('tls.certFile', files.certFile),
    key: read('tls.keyFile', files.keyFile),
    ca: files.caFile === undefined ? undefined : read('tls.caFile', files.caFile),
  };
  try {
    createSecureContext(context);
  } catch (error) {
    const text = `tls: ${files.certFile} and ${files.keyFile} are no certificate with its key: ${reasonOf(error)}`;
    throw new RelayError('CONFIG_INVALID', text, { cause: error });
  }
  return context;
}

/** What {@link TlsWatch} compares; taken before the files are read, so that what changes in between is noticed. */
export function tlsSignature({ certFile, keyFile, caFile }: TlsFiles): string {
  return [certFile, keyFile, caFile].map((file) => (file === undefined ? '' : stamp(file))).join();
}

/** Looks at the files every few seconds and hands changed contents to `apply`; a bad pair is logged, and the one before stays. */
export class TlsWatch {
  #applied: string;
  /** The contents that were told to be bad, and are looked at again: they may have been half written, or unreadable for a moment. */
  #refused: string | undefined;
  #cancel: (() => void) | undefined;

  /** `applied`: the signature of what is in use. */
  constructor(
    private readonly files: TlsFiles,
    applied: string,
    private readonly apply: (context: SecureContextOptions) => void,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    this.#applied = applied;
    this.#wait();
  }

  stop(): void {
    this.#cancel?.();
  }

  #wait(): void {
    this.#cancel = this.clock.after(LOOK_MS, () => {
      this.#look();
      this.#wait();
    });
  }

  #look(): void {
    const seen = tlsSignature(this.files);
    if (seen === this.#applied) return;
    try {
      this.apply(readTls(this.files));
      this.#applied = seen;
      this.log.info(`${this.files.certFile} has changed: new connections get the new certificate`);
    } catch (error) {
      if (seen !== this.#refused) this.log.error(`the certificate stays as it was: ${reasonOf(error)}`);
      this.#refused = seen;
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
  const refuse = (reason: string, cause?: unknown): never => {
    throw new RelayError('CONFIG_INVALID', `${option}: ${file} ${reason}`, { cause });
  };
  try {
    const stat = statSync(file);
    if (!stat.isFile()) return refuse('is no file');
    if (option === 'tls.keyFile' && process.platform !== 'win32' && (stat.mode & 0o007) !== 0)
      return refuse('is open to all users of this machine: run chmod o-rwx on it');
    const content = readFileSync(file);
    return content.length > 0 ? content : refuse('is empty');
  } catch (error) {
    if (RelayError.is(error)) throw error;
    return refuse(`cannot be read: ${reasonOf(error)}`, error);
  }
}

/** This relay as a node: its key, its name, and which start it is. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { readSmallFile, systemReason } from '../state/state.ts';
import { RelayError, clean } from '../core/core.ts';
import { EPHEMERAL_FLAG, MESH_FLAG, signDescriptor } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import type { HelloSelf } from './hello.ts';
import { nodeKeyOf } from './node-key.ts';
import type { IdentityOptions } from './options.ts';

export interface OwnNodeParts {
  /** The seed of the key, from the state directory. */
  readonly seed: string;
  readonly options: IdentityOptions;
  /** True if the key ends with this process. Default false. */
  readonly isEphemeral?: boolean | undefined;
}

/** The identity of this relay for the time of one start. */
export class OwnNode {
  readonly key: ReturnType<typeof nodeKeyOf>;
  readonly nick: string;
  /** 64 random bits, hex. */
  readonly instance = randomBytes(8).toString('hex');
  readonly #secret: string | undefined;
  readonly #flags: readonly string[];
  #epoch = 1;
  #seq = 0;
  #descriptor: Descriptor | undefined;

  /** Throws a RelayError CONFIG_INVALID if the cluster secret cannot be read, and STATE_DIRECTORY if the key is damaged. */
  constructor({ seed, options, isEphemeral = false }: OwnNodeParts) {
    this.key = nodeKeyOf(seed);
    this.nick = options.nick ?? (clean(hostname(), 64) || 'relay');
    this.#secret = readClusterSecret(options);
    this.#flags = isEphemeral ? [MESH_FLAG, EPHEMERAL_FLAG] : [MESH_FLAG];
  }

  get id(): string {
    return this.key.id;
  }

  /** The number of this start; 1 before {@link begin}. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Sets the number of this start, before anything is sent. */
  begin(epoch: number): void {
    this.#epoch = epoch;
  }

  /** Signs what this relay says of itself from now on. */
  describe(content: Pick<Descriptor, 'addrs' | 'hostIds'>): void {
    const { nick } = this;
    this.#descriptor = signDescriptor(this.key, {
      ...content,
      nick,
      epoch: this.#epoch,
      seq: ++this.#seq,
      capabilitiesHash: '',
      flags: this.#flags,
    });
  }

  /** Throws a RelayError UNAVAILABLE before {@link describe}. */
  get self(): HelloSelf {
    if (!this.#descriptor) throw new RelayError('UNAVAILABLE', 'the relay is not listening yet');
    return { key: this.key, descriptor: this.#descriptor, instance: this.instance, secret: this.#secret };
  }
}

const MAX_FILE_BYTES = 4096;
// 128 bits take 32 characters in hex, and 22 in base64.
const HEX = /^[0-9a-f]*$/i;
const MIN_HEX = 32;
const MIN_TEXT = 22;

/** The cluster secret; undefined if there is none. Throws a RelayError CONFIG_INVALID that never shows it. */
export function readClusterSecret({ trust, clusterSecretFile: file }: IdentityOptions): string | undefined {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new RelayError('CONFIG_INVALID', `clusterSecretFile: ${reason}`, { cause });
  };
  if (file === undefined) return trust === 'clusterSecret' ? refuse(`is required with trust: 'clusterSecret'`) : undefined;
  if (trust !== 'clusterSecret') return refuse(`has no effect with trust: '${trust}'; set trust: 'clusterSecret', or remove it`);
  let secret: string;
  try {
    secret = readSmallFile(file, {
      maxBytes: MAX_FILE_BYTES,
      links: 'follow',
      check: ({ mode }) => {
        if (process.platform !== 'win32' && (mode & 0o007) !== 0)
          refuse(`${file} is open to all users of this machine: run chmod o-rwx on it`);
      },
    }).trim();
  } catch (error) {
    if (RelayError.is(error)) throw error;
    return refuse(`${file} cannot be read: ${systemReason(error)}`, error);
  }
  if (/^[!-~]{22,512}$/.test(secret) && secret.length >= (HEX.test(secret) ? MIN_HEX : MIN_TEXT) && new Set(secret).size >= 8)
    return secret;
  return refuse(`${file} does not hold a secret of at least 128 random bits in one line; make one with: openssl rand -hex 32 > ${file}`);
}

/** Keeps parameters whose names begin with `secret_` out of everything that is shown, logged or stored in clear. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { RelayError } from '../core/core.ts';
import { dictOf } from '../values/values.ts';
import type { Dict, Sendable } from '../values/values.ts';
import { parseStruct, serialiseStruct } from '../xmlrpc/xmlrpc.ts';

const PREFIX = 'secret_';
const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Most units have no parameters, and are shown more than once. */
const NONE = '';
/** Before those that are encrypted. */
const SECRET = 's:';
/** In place of a secret, where parameters are shown. */
const HIDDEN = '(hidden)';

/** Parameters as they are shown. */
export function shownParams(params: Dict): Dict {
  return dictOf(Object.entries(params).map(([name, value]) => [name, name.startsWith(PREFIX) ? HIDDEN : value]));
}

/** True for sealed parameters that have secrets among them. */
export function hasSecrets(sealed: string): boolean {
  return sealed.startsWith(SECRET);
}

/** Seals parameters for the store, and opens them again. */
export class ParamsSeal {
  readonly #key: Buffer;

  /** `secret` is one that only this relay knows: the admin token. */
  constructor(secret: string) {
    this.#key = Buffer.from(hkdfSync('sha256', secret, '', 'co2-relay work parameters', 32));
  }

  seal(params: Readonly<Record<string, Sendable>>): string {
    if (Object.keys(params).length === 0) return NONE;
    const xml = serialiseStruct(params, { nil: true, i8: true });
    if (!Object.keys(params).some((name) => name.startsWith(PREFIX))) return `x:${xml}`;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce);
    const sealed = Buffer.concat([cipher.update(xml, 'utf8'), cipher.final()]);
    return `${SECRET}${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')}`;
  }

  /** Throws a RelayError STATE_DIRECTORY if another secret sealed it. */
  open(sealed: string): Dict {
    if (sealed === NONE) return dictOf();
    const text = sealed.slice(2);
    return parseStruct(sealed.startsWith('x:') ? text : this.#decipher(Buffer.from(text, 'base64')));
  }

  #decipher(sealed: Buffer): string {
    try {
      const decipher = createDecipheriv(ALGORITHM, this.#key, sealed.subarray(0, NONCE_BYTES));
      decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8');
    } catch (error) {
      const text = 'its secret parameters were stored under another admin token, and cannot be read; submit it again';
      throw new RelayError('STATE_DIRECTORY', text, { cause: error });
    }
  }
}

/** Options of identity and trust. */
import * as z from 'zod/mini';

/** How a relay decides whether another relay that has proved its key is a peer. */
export const TRUST_MODES = ['pin', 'pair', 'clusterSecret', 'ca', 'insecure'] as const;

/** One of {@link TRUST_MODES}. */
export type TrustMode = (typeof TRUST_MODES)[number];

export interface IdentityOptions {
  /** The name of this relay for people, in lists and events of other relays. Default: the name of the machine. */
  readonly nick?: string | undefined;
  /**
   * Which relays are trusted as peers once they have proved their key. `pin`: those in `peers`; the key of each is remembered at the first
   * contact, and another key is refused. `pair`: these, and those that an operator has approved (`co2 peers trust`). `clusterSecret`: those
   * that know the secret in `clusterSecretFile`. `ca`: those with a certificate of `tls.caFile` that names their node (`URI:co2:<node>`).
   * `insecure`: every relay. Default `pin`.
   */
  readonly trust: TrustMode;
  /**
   * The file with the secret of the cluster in its only line: at least 128 random bits (`openssl rand -hex 32`), which other users must not
   * be able to read. It is never sent. Required with `trust: 'clusterSecret'`; default none.
   */
  readonly clusterSecretFile?: string | undefined;
}

export const identityDefaults: IdentityOptions = { nick: undefined, trust: 'pin', clusterSecretFile: undefined };

export const identityShape = {
  nick: z.optional(
    z.string().check(z.refine((text) => /^[^\p{C}]{1,64}$/u.test(text), { error: 'a name of 1 to 64 characters that can be shown' })),
  ),
  trust: z.enum(TRUST_MODES),
  clusterSecretFile: z.optional(z.string().check(z.minLength(1))),
};

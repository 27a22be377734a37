/** Options of access control. */
import { z } from 'zod';
import { EXTENSIONS, isMethodGlob } from './grants.ts';
import { ACCESS_CLASSES } from '../core/core.ts';
import type { Extension, Grant } from './grants.ts';
import type { AccessClass } from '../core/core.ts';

/** Classes of methods, or classes and globs of names: `{ classes: ['read', 'call'], methods: ['ping', 'ham.*'] }`. */
export type RoleGrant = readonly AccessClass[] | (Pick<Grant, 'classes'> & Partial<Pick<Grant, 'methods'>>);

/** A token of the operator; its secret is in a file or in the environment, never here. */
export interface ConfiguredToken {
  /** File whose one line is the secret (16 to 512 characters without blanks), not readable by other users. Default none: `env` names it. */
  readonly file?: string | undefined;
  /** Name of the environment variable that holds the secret. Default none: `file` names it. */
  readonly env?: string | undefined;
  /** Default read, message and call. */
  readonly classes?: readonly AccessClass[] | undefined;
  /** Globs of method names. Default `['*']`: every method of its classes. */
  readonly methods?: readonly string[] | undefined;
  /** The extensions that its holder reads, `['nil', 'i8']`: responses may use them whatever the call itself used. Default none. */
  readonly reads?: readonly Extension[] | undefined;
  /** Date from which it is rejected, `2027-01-31` or `2027-01-31T12:00:00Z`. Default never. */
  readonly expires?: string | undefined;
}

/** A rate limit. A call inside a call counts like any other, and a fetched page counts as a call. */
export interface Rate {
  /** Sustained calls per second; the default is stated with each role. */
  readonly perSecond: number;
  /** Calls at once after a pause; the default is stated with each role. */
  readonly burst: number;
}

export interface AccessOptions {
  readonly access: {
    /**
     * A caller from another machine without a credential. A list adds to read; `{classes, methods}` is taken literally. Default
     * `['read']`; add `'message'` for a classic co2 network.
     */
    readonly anonymous: RoleGrant;
    /** A program on this machine without a credential. Default read, message and call; not admin, since other users share the machine. */
    readonly local: RoleGrant;
    /** A relay whose address is in `peers`. Default read, message and call. */
    readonly peer: RoleGrant;
    /** A remote satellite that registered without a token. Default read, message and call. */
    readonly satellite: RoleGrant;
    /** Tokens by name, besides those that `co2 token create` makes. Default none. */
    readonly tokens: Readonly<Record<string, ConfiguredToken>>;
  };
  /** Per address (an IPv6 /64 counts as one), for tokens per name. Beyond it a call gets fault 429; pages and JSON calls get status 429. */
  readonly limits: {
    /** Default 50 per second, 200 at once: interactive tools never reach it, a runaway script does. */
    readonly anonymous: Rate;
    /** Default 5,000 per second, 20,000 at once: more than one program can use; it stops a runaway loop. */
    readonly local: Rate;
    /**
     * Default 5,000 per second, 20,000 at once: a peer that reconnects empties an outbox of 10,000. Each dict of a batch counts. It sends
     * rejected dicts again.
     */
    readonly peer: Rate;
    /**
     * Default 5,000 per second, 20,000 at once, as `local`: everything at one address shares it. Satellites in this process have no
     * limit.
     */
    readonly satellite: Rate;
    /** Default 1,000 per second, 5,000 at once: generous, and a leaked token still cannot exhaust the relay for others. */
    readonly token: Rate;
  };
}

export const accessDefaults: AccessOptions = {
  access: {
    anonymous: ['read'],
    local: ['read', 'message', 'call'],
    peer: ['read', 'message', 'call'],
    satellite: ['read', 'message', 'call'],
    tokens: {},
  },
  limits: {
    anonymous: { perSecond: 50, burst: 200 },
    local: { perSecond: 5_000, burst: 20_000 },
    peer: { perSecond: 5_000, burst: 20_000 },
    satellite: { perSecond: 5_000, burst: 20_000 },
    token: { perSecond: 1_000, burst: 5_000 },
  },
};

const classes = z.array(z.enum(ACCESS_CLASSES));
const methods = z.array(z.string().refine(isMethodGlob, { error: "a name of a method, with '*' for one or more characters" }));
const grant = z.strictObject({ classes, methods: methods.optional() });
// Not a union: its errors would not say what is wrong in the intended form.
const roleGrant = z.unknown().superRefine((value, context) => {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const { error } = (isObject ? grant : classes).safeParse(value, { reportInput: true });
  for (const issue of error?.issues ?? []) context.addIssue({ ...issue });
});
const token = z
  .strictObject({
    file: z.string().min(1).optional(),
    env: z.string().min(1).optional(),
    classes: classes.optional(),
    methods: methods.optional(),
    reads: z.array(z.enum(EXTENSIONS)).optional(),
    expires: z
      .string()
      .refine((text) => /^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text)), { error: 'a date like 2027-01-31' })
      .optional(),
  })
  .refine(({ file, env }) => (file === undefined) !== (env === undefined), { error: 'either file or env, which says where the secret is' });
const tokenName = z.string().refine((name) => /^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name) && name !== 'admin', {
  error: "a name of letters, digits, '.', '_', '-'; not admin",
});
const rate = z.strictObject({ perSecond: z.number().min(0.001).max(1e9), burst: z.number().min(1).max(1e9) });

export const accessShape = {
  access: z.strictObject({
    anonymous: roleGrant,
    local: roleGrant,
    peer: roleGrant,
    satellite: roleGrant,
    tokens: z.record(tokenName, token),
  }),
  limits: z.strictObject({ anonymous: rate, local: rate, peer: rate, satellite: rate, token: rate }),
};

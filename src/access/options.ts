/** Options of access control. */
import * as z from 'zod/mini';
import { EXTENSIONS, isMethodGlob } from './grants.ts';
import { ACCESS_CLASSES } from '../core/core.ts';
import type { Extension, Grant } from './grants.ts';
import type { AccessClass } from '../core/core.ts';

/** Classes of methods, or classes and patterns of names: `{ classes: ['read', 'call'], methods: ['ping', 'ham.*'] }`. */
export type RoleGrant = readonly AccessClass[] | (Pick<Grant, 'classes'> & Partial<Pick<Grant, 'methods'>>);

/** A token in the configuration. Its secret is in a file or in the environment, never in the configuration itself. */
export interface ConfiguredToken {
  /**
   * The file with the secret in its only line (16 to 512 characters without spaces), which other users must not be able to read. Default
   * none: set either `file` or `env`.
   */
  readonly file?: string | undefined;
  /** The environment variable that holds the secret. Default none: set either `file` or `env`. */
  readonly env?: string | undefined;
  /** Classes of methods that it may call. Default read, message and call. */
  readonly classes?: readonly AccessClass[] | undefined;
  /** Patterns of method names. Default `['*']`: all methods of its classes. */
  readonly methods?: readonly string[] | undefined;
  /** The extensions that its holder can read, such as `['nil', 'i8']`: responses may use them whatever the call used. Default none. */
  readonly reads?: readonly Extension[] | undefined;
  /** The date on which it expires, `2027-01-31` or `2027-01-31T12:00:00Z`. Default never. */
  readonly expires?: string | undefined;
}

/** How often a caller may call. A call inside another call counts, and so does fetching a page. */
export interface Rate {
  /** Calls per second in the long run. The default depends on the role. */
  readonly perSecond: number;
  /** Calls at once after a pause. The default depends on the role. */
  readonly burst: number;
}

/** The options of access control. */
export interface AccessOptions {
  /** What each role may call. */
  readonly access: {
    /**
     * Callers from other machines without a credential. A list is added to `read`; `{ classes, methods }` is everything they may call.
     * Default `['read']`; add `'message'` for a classic co2 network.
     */
    readonly anonymous: RoleGrant;
    /**
     * Programs on this machine without a credential. Default read, message and call, but not admin, because other users may share the
     * machine.
     */
    readonly local: RoleGrant;
    /** Relays whose address is in `peers`. Default read, message and call. */
    readonly peer: RoleGrant;
    /** Local and remote satellites. Default read, message and call. */
    readonly satellite: RoleGrant;
    /** Tokens by name, in addition to those of `co2 token create`. Default none. */
    readonly tokens: Readonly<Record<string, ConfiguredToken>>;
  };
  /**
   * Limits per address (an IPv6 /64 counts as one), and per name for tokens. A call over the limit gets fault 429; a page or a JSON call
   * gets status 429.
   */
  readonly limits: {
    /** Default 50 per second, 200 at once: enough for interactive tools, too little for a script that hammers the relay. */
    readonly anonymous: Rate;
    /** Default 5,000 per second, 20,000 at once: more than one program can use, and it ends runaway loops. */
    readonly local: Rate;
    /**
     * Default 5,000 per second, 20,000 at once: a peer that reconnects may have an outbox of 10,000 to send. Each dict of a batch counts.
     * The peer retries rejected dicts.
     */
    readonly peer: Rate;
    /**
     * Default 5,000 per second, 20,000 at once. Other programs on a satellite's machine share its limit. Satellites in the process of the
     * relay are not limited.
     */
    readonly satellite: Rate;
    /** Default 1,000 per second, 5,000 at once: generous, yet a leaked token cannot make the relay unusable for others. */
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
const methods = z.array(z.string().check(z.refine(isMethodGlob, { error: "a name of a method, with '*' for one or more characters" })));
const grant = z.strictObject({ classes, methods: z.optional(methods) });
// Not a union: its errors would not say what is wrong in the form that was meant.
const roleGrant = z.unknown().check(
  z.superRefine((value, context) => {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    const { error } = (isObject ? grant : classes).safeParse(value, { reportInput: true });
    for (const issue of error?.issues ?? []) context.addIssue({ ...issue });
  }),
  z.describe(`list of ${ACCESS_CLASSES.map((name) => `\`${name}\``).join(', ')}, or \`{ classes, methods }\``),
);
const token = z
  .strictObject({
    file: z.optional(z.string().check(z.minLength(1))),
    env: z.optional(z.string().check(z.minLength(1))),
    classes: z.optional(classes),
    methods: z.optional(methods),
    reads: z.optional(z.array(z.enum(EXTENSIONS))),
    expires: z.optional(
      z
        .string()
        .check(z.refine((text) => /^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text)), { error: 'a date like 2027-01-31' })),
    ),
  })
  .check(
    z.refine(({ file, env }) => (file === undefined) !== (env === undefined), {
      error: 'either file or env, which says where the secret is',
    }),
  );
const tokenName = z.string().check(
  z.refine((name) => /^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name) && name !== 'admin', {
    error: "a name of letters, digits, '.', '_', '-'; not admin",
  }),
);
const rate = z.strictObject({ perSecond: z.number().check(z.gte(0.001), z.lte(1e9)), burst: z.number().check(z.gte(1), z.lte(1e9)) });

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

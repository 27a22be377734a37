/** The record of a remote satellite: how it is read from a registration, stored and shown. */
import * as z from 'zod/mini';
import english from 'zod/v4/locales/en.js';
import { RelayError, clean } from '../core/core.ts';
import { canonicalAddress, formatHostId, hostPort, parseHostId } from '../message/message.ts';
import type { Dict } from '../values/values.ts';

/** A token that a caller presented. */
export interface Credential {
  readonly name: string;
  /** Distinguishes tokens that had the same name. */
  readonly id: string;
}

/** A registration. */
export interface SatelliteRecord {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
  readonly path: string;
  readonly hostId: string;
  readonly nick: string;
  /** Time of registration. */
  readonly ctime: Date;
  /** The token with which it was registered; the registration ends when that becomes invalid. Undefined: registered without a token. */
  readonly registeredWith?: Credential | undefined;
  /** SHA-256 of its own token, hex, so that a reader of the file cannot act for it. */
  readonly tokenHash: string;
}

// A display name, at most twice as wide as a column of a table.
const MAX_NICK = 64;
// Visible ASCII without a fragment. RPC servers do not have paths of more than 200 characters.
const PATH = /^\/[!-"$-~]{0,199}$/;
const DEFAULT_PATH = '/RPC2';

/** Where a satellite listens. */
export type SatelliteEndpoint = Pick<SatelliteRecord, 'address' | 'port' | 'path'>;

/** Reads `port` and `path` of `relay.register`; `address` is the caller's. Throws a RelayError INVALID_PARAMS. */
export function readEndpoint({ port, path = DEFAULT_PATH }: Dict, address: string): SatelliteEndpoint {
  if (!isPort(port))
    throw new RelayError('INVALID_PARAMS', 'relay.register needs the member port, on which you listen: an integer from 1 to 65535');
  if (typeof path !== 'string' || !PATH.test(path)) {
    throw new RelayError(
      'INVALID_PARAMS',
      "path must begin with '/' and have at most 200 characters, all visible ASCII (others as %XX), without '#'",
    );
  }
  const endpoint = { address, port, path };
  if (!URL.canParse(urlOf(endpoint)))
    throw new RelayError('INVALID_PARAMS', `no URL can address ${clean(hostPort(address, port), 100)}: register from another address`);
  return endpoint;
}

/** The display name, by default the host_id. Throws a RelayError INVALID_PARAMS. */
export function readNick(nick: Dict[string] | undefined, hostId: string): string {
  if (nick === undefined) return hostId;
  if (typeof nick !== 'string') throw new RelayError('INVALID_PARAMS', 'nick must be a string');
  return clean(nick.trim(), MAX_NICK) || hostId;
}

/** The URL at which a satellite is notified. */
export function urlOf({ address, port, path }: SatelliteEndpoint): string {
  return `http://${hostPort(address, port)}${path}`;
}

/** Identifies an endpoint: satellites may share an address, but not a port of it. */
export function endpointKey({ address, port }: Pick<SatelliteRecord, 'address' | 'port'>): string {
  return hostPort(address, port);
}

/** The host_id of a satellite that does not state one. */
export function hostIdFor({ address, port }: SatelliteEndpoint, random: string): string {
  return formatHostId({ random, address, port });
}

// Errors have no text otherwise.
z.config(english());

const STORED = z.strictObject({
  address: z.string().check(z.refine((text) => canonicalAddress(text) === text, 'not a canonical address')),
  port: z.int().check(z.gte(1), z.lte(65535)),
  path: z.string().check(z.regex(PATH)),
  host_id: z.string().check(z.refine((text) => parseHostId(text) !== undefined, 'not a host_id')),
  nick: z.string().check(z.maxLength(200)),
  ctime: z.iso.datetime(),
  token: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  registered_with: z.optional(z.string().check(z.maxLength(64))),
  // Missing in older files; the token then counts as another one of the same name.
  registered_with_id: z.optional(z.string().check(z.maxLength(64))),
});
const FILE = z.strictObject({ version: z.literal(1), satellites: z.array(STORED) });

/** The content of the file. */
export function toFile(records: Iterable<SatelliteRecord>): z.infer<typeof FILE> {
  const satellites = [...records].map(({ hostId, nick, ctime, tokenHash, registeredWith, ...endpoint }) => ({
    ...endpoint,
    ...{ host_id: hostId, nick, ctime: ctime.toISOString(), token: tokenHash },
    ...{ registered_with: registeredWith?.name, registered_with_id: registeredWith?.id },
  }));
  return { version: 1, satellites };
}

/** The records in a file. Throws if it does not have the shape that {@link toFile} writes. */
export function fromFile(content: unknown): readonly SatelliteRecord[] {
  const result = FILE.safeParse(content);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new Error(`${clean(issue?.path.join('.') ?? '', 100)}: ${clean(issue?.message ?? '', 200)}`);
  }
  return result.data.satellites.map(
    ({ host_id: hostId, nick, ctime, token, registered_with: name, registered_with_id: id = '', ...endpoint }) => {
      const registeredWith = name === undefined ? undefined : { name, id };
      return { ...endpoint, hostId, tokenHash: token, registeredWith, nick: clean(nick, MAX_NICK), ctime: new Date(ctime) };
    },
  );
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535;
}

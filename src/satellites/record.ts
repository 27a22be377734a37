/** What is known of a satellite elsewhere, as it is registered, kept on disk and shown. */
import { z } from 'zod';
import { RelayError, clean } from '../core/core.ts';
import { canonicalAddress, formatHostId, hostPort, parseHostId } from '../message/message.ts';
import type { Dict } from '../values/values.ts';

/** A token that a caller presented. */
export interface Credential {
  readonly name: string;
  /** Another token of the same name has another one. */
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
  /** When it registered. */
  readonly ctime: Date;
  /** The token that it was registered with; when that is no longer valid, the registration ends. Undefined: of a caller without one. */
  readonly registeredWith?: Credential | undefined;
  /** SHA-256 of its token, hexadecimal: whoever reads the disk cannot speak for it. */
  readonly tokenHash: string;
}

// A name to show; twice what fits a column.
const MAX_NICK = 64;
// Visible ASCII without a fragment. 200 characters are more than a path of an RPC server ever has.
const PATH = /^\/[!-"$-~]{0,199}$/;
const DEFAULT_PATH = '/RPC2';

/** Where a satellite listens. */
export type Place = Pick<SatelliteRecord, 'address' | 'port' | 'path'>;

/** Reads `port` and `path` of `relay.register`; `address` is the caller's. Throws a RelayError INVALID_PARAMS. */
export function readPlace({ port, path = DEFAULT_PATH }: Dict, address: string): Place {
  if (!isPort(port))
    throw new RelayError('INVALID_PARAMS', 'relay.register needs port, the one that you listen on: an integer from 1 to 65535');
  if (typeof path !== 'string' || !PATH.test(path)) {
    throw new RelayError(
      'INVALID_PARAMS',
      "path begins with '/' and has at most 200 characters, all visible ASCII (others as %XX), and no '#'",
    );
  }
  const place = { address, port, path };
  if (!URL.canParse(urlOf(place)))
    throw new RelayError('INVALID_PARAMS', `no URL leads back to ${clean(hostPort(address, port), 100)}: register from another address`);
  return place;
}

/** The name to show, by default the host_id. Throws a RelayError INVALID_PARAMS. */
export function readNick(nick: Dict[string] | undefined, hostId: string): string {
  if (nick === undefined) return hostId;
  if (typeof nick !== 'string') throw new RelayError('INVALID_PARAMS', 'nick is a string');
  return clean(nick.trim(), MAX_NICK) || hostId;
}

/** The URL that a satellite is notified at. */
export function urlOf({ address, port, path }: Place): string {
  return `http://${hostPort(address, port)}${path}`;
}

/** Two satellites may share an address, and none a port of it. */
export function placeKey({ address, port }: Pick<SatelliteRecord, 'address' | 'port'>): string {
  return hostPort(address, port);
}

/** The host_id of a satellite that names none. */
export function hostIdFor({ address, port }: Place, random: string): string {
  return formatHostId({ random, address, port });
}

const KEPT = z.strictObject({
  address: z.string().refine((text) => canonicalAddress(text) === text, 'not a canonical address'),
  port: z.int().min(1).max(65535),
  path: z.string().regex(PATH),
  host_id: z.string().refine((text) => parseHostId(text) !== undefined, 'not a host_id'),
  nick: z.string().max(200),
  ctime: z.iso.datetime(),
  token: z.string().regex(/^[0-9a-f]{64}$/),
  registered_with: z.string().max(64).optional(),
  // Without it, as files were once, the token counts as one that was made anew.
  registered_with_id: z.string().max(64).optional(),
});
const FILE = z.strictObject({ version: z.literal(1), satellites: z.array(KEPT) });

/** The file's content. */
export function toKept(records: Iterable<SatelliteRecord>): z.infer<typeof FILE> {
  const satellites = [...records].map(({ hostId, nick, ctime, tokenHash, registeredWith, ...place }) => ({
    ...place,
    ...{ host_id: hostId, nick, ctime: ctime.toISOString(), token: tokenHash },
    ...{ registered_with: registeredWith?.name, registered_with_id: registeredWith?.id },
  }));
  return { version: 1, satellites };
}

/** The records of a file. Throws if it is not of the shape that {@link toKept} makes. */
export function fromKept(content: unknown): readonly SatelliteRecord[] {
  const result = FILE.safeParse(content);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new Error(`${clean(issue?.path.join('.') ?? '', 100)}: ${clean(issue?.message ?? '', 200)}`);
  }
  return result.data.satellites.map(
    ({ host_id: hostId, nick, ctime, token, registered_with: name, registered_with_id: id = '', ...place }) => {
      const registeredWith = name === undefined ? undefined : { name, id };
      return { ...place, hostId, tokenHash: token, registeredWith, nick: clean(nick, MAX_NICK), ctime: new Date(ctime) };
    },
  );
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535;
}

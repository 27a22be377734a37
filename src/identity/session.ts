/** A proven session between two relays: every request and answer carries a MAC, so that nobody else can send, change or repeat one. */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';

/** The HTTP header of requests and answers. */
export const SESSION_HEADER = 'co2-session';

/** What both sides of a session know. */
export interface SessionKeys {
  /** Not a secret. */
  readonly id: string;
  /** The key of requests. */
  readonly request: Buffer;
  /** The key of answers. */
  readonly answer: Buffer;
}

/** What the header of a request claims; nothing of it is true before {@link isFromSession}. */
export interface RequestClaim {
  readonly session: string;
  /** Grows with each request of a session. */
  readonly number: number;
  /** SHA-256 of the body, base64url. */
  readonly digest: string;
  /** What the MAC covers. */
  readonly head: string;
  readonly mac: string;
}

const HEADER = /^(([0-9a-f]{24})\.([1-9]\d{0,14})\.([\w-]{43}))\.([\w-]{43})$/;

/** The header of request `number` with this body: `<session>.<number>.<digest of the body>.<MAC>`. */
export function requestHeader({ id, request }: SessionKeys, number: number, body: Uint8Array): string {
  const head = `${id}.${number}.${digestOf(body)}`;
  return `${head}.${macOf(request, head)}`;
}

/** Reads the header of a request; undefined if it is malformed. */
export function readRequestHeader(header: string): RequestClaim | undefined {
  const [, head, session, number, digest, mac] = HEADER.exec(header) ?? [];
  if (head === undefined || session === undefined || digest === undefined || mac === undefined) return undefined;
  return { session, number: Number(number), digest, head, mac };
}

/** True if the other side of the session made this header. */
export function isFromSession({ request }: SessionKeys, { head, mac }: RequestClaim): boolean {
  return isEqual(mac, macOf(request, head));
}

/** True if the header was made for this body. */
export function isBodyOf({ digest }: RequestClaim, body: Uint8Array): boolean {
  return isEqual(digest, digestOf(body));
}

/** The header of the answer to request `number`. */
export function answerHeader({ id, answer }: SessionKeys, number: number, body: Uint8Array): string {
  return macOf(answer, `${id}.${number}.${digestOf(body)}`);
}

/** True if the other side of the session gave this answer to request `number`. */
export function isAnswerOf(keys: SessionKeys, number: number, body: Uint8Array, header: string | undefined): boolean {
  return header !== undefined && isEqual(header, answerHeader(keys, number, body));
}

function digestOf(body: Uint8Array): string {
  return hash('sha256', body, 'base64url');
}

function macOf(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url');
}

/** Compares in constant time. */
export function isEqual(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** The address of the client: the socket's, or the one that a trusted proxy wrote into X-Forwarded-For or Forwarded (RFC 7239). Pure. */
import ipaddr from 'ipaddr.js';
import { canonicalAddress } from '../message/message.ts';

/** True for an address (canonical) inside one of the proxies' networks. */
export type IsTrusted = (address: string) => boolean;

/** The values of the two headers; repeated ones are joined by commas. */
export interface Forwarding {
  readonly forwardedFor: string | undefined;
  readonly forwarded: string | undefined;
}

/** The client. `port` is undefined if the proxy does not name it. */
export interface ClientPlace {
  readonly address: string;
  readonly port: number | undefined;
}

/** The client is unknown: a trusted proxy forwarded the request and did not say for whom. */
export interface NoClient {
  readonly problem: string;
}

/** Parses `networks` (CIDR). */
export function trustedProxies(networks: readonly string[]): IsTrusted {
  const ranges = networks.map((network) => ipaddr.parseCIDR(network));
  return (address) => {
    const parsed = ipaddr.process(address);
    return ranges.some((range) => range[0].kind() === parsed.kind() && parsed.match(range));
  };
}

/**
 * The client of a request that came from `socket` (canonical). The headers count only if the socket belongs to a trusted proxy. The client
 * is the rightmost entry that is not a trusted proxy itself; entries to its left are never read, because the client may have written them.
 * A proxy writes one of the two headers and may pass on the other as the client sent it, so if both exist they must name the same client.
 */
export function forwardedClient(
  socket: string,
  { forwardedFor, forwarded }: Forwarding,
  isTrusted: IsTrusted,
): ClientPlace | NoClient | undefined {
  if ((forwardedFor === undefined && forwarded === undefined) || !isTrusted(socket)) return undefined;
  const byList = forwardedFor === undefined ? undefined : clientIn(forwardedFor.split(','), readNode, isTrusted);
  const byStandard = forwarded === undefined ? undefined : clientIn(elementsOf(forwarded), readElement, isTrusted);
  if (forwardedFor !== undefined && !byList) return { problem: noAddress('X-Forwarded-For') };
  if (forwarded !== undefined && !byStandard) return { problem: noAddress('Forwarded') };
  if (byList && byStandard && byList.address !== byStandard.address)
    return {
      problem: 'X-Forwarded-For and Forwarded name different clients; make the proxy in front remove the one that it does not write',
    };
  const client = byStandard ?? byList;
  return client && { address: client.address, port: client.port ?? byList?.port };
}

function noAddress(header: string): string {
  return `the proxy in front does not name the address of its client in ${header}; make it write the address that it sees`;
}

/** The rightmost entry that is not a trusted proxy, or the leftmost if all are; undefined if an entry on the way is not an address. */
function clientIn(
  entries: readonly string[],
  read: (entry: string) => ClientPlace | undefined,
  isTrusted: IsTrusted,
): ClientPlace | undefined {
  let client: ClientPlace | undefined;
  for (let index = entries.length - 1; index >= 0; index--) {
    client = read((entries[index] ?? '').trim());
    if (!client || !isTrusted(client.address)) return client;
  }
  return client;
}

// `node` of RFC 7239, section 6: an address, in brackets if it is IPv6, and perhaps a port or an obfuscated one.
const WITH_PORT = /^(\[[^\]]{2,64}\]|[\d.]{7,15}):(?:(\d{1,5})|_[A-Za-z0-9._-]{1,64})$/;

/** An address with or without a port. Undefined for `unknown`, obfuscated identifiers (`_hidden`), names and anything else. */
function readNode(text: string): ClientPlace | undefined {
  const [, host, digits] = WITH_PORT.exec(text) ?? [];
  const address = canonicalAddress(host ?? text);
  const port = digits === undefined ? undefined : Number(digits);
  return address === undefined || (port ?? 0) > 65_535 ? undefined : { address, port };
}

/** The elements of a Forwarded header; none if a quote is not closed, because it is ambiguous what it spans. */
function elementsOf(header: string): readonly string[] {
  const elements: string[] = [];
  let begin = 0;
  let isQuoted = false;
  for (let at = 0; at < header.length; at++) {
    const char = header[at];
    if (char === '"') isQuoted = !isQuoted;
    else if (isQuoted && char === '\\') at++;
    else if (!isQuoted && char === ',') {
      elements.push(header.slice(begin, at));
      begin = at + 1;
    }
  }
  return isQuoted ? [] : [...elements, header.slice(begin)];
}

// `name=value`; the value is a quoted string or, as many proxies write addresses, any text without separators. Semicolons separate pairs.
const PAIR = /[ \t]*([!#$%&'*+.^_`|~\w-]{1,64})=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))[ \t]*(?:;|$)/y;

/** The node in `for` of an element. Undefined if there is not exactly one `for`, or the element is malformed. */
function readElement(element: string): ClientPlace | undefined {
  let node: string | undefined;
  for (PAIR.lastIndex = 0; PAIR.lastIndex < element.length;) {
    const [pair, name = '', quoted, plain] = PAIR.exec(element) ?? [];
    // A quote that the client did not close would end at the next quote of the proxy, and hide what the proxy wrote in between.
    if (pair === undefined || (quoted !== undefined && /for\s*=/i.test(quoted))) return undefined;
    if (name.toLowerCase() !== 'for') continue;
    if (node !== undefined) return undefined;
    node = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
  }
  return node === undefined ? undefined : readNode(node);
}

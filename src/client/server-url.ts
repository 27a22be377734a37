/** The URL of a server taken apart: where to connect, what to ask for, which credential, and a name fit for errors. */
import { RelayError } from '../core/core.ts';

export interface ServerUrl {
  /** `http://host:port`, for the Host header too. */
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
  /** For errors and logs: never with a credential. */
  readonly name: string;
  /** Of an `http+unix:` URL. */
  readonly socketPath: string | undefined;
  /** `Basic …` from a user or a password in the URL. */
  readonly authorization: string | undefined;
}

const EXPECTED = 'expected http://host:port/path, https://… or http+unix:/path/of.socket';

/**
 * Reads a URL; a path of `/` means `/RPC2`. A unix socket is `http+unix:/run/co2.sock` or, where the path matters too,
 * `http+unix://%2Frun%2Fco2.sock/RPC2`. Throws a RelayError CONFIG_INVALID that does not repeat the URL, for it may hold a password.
 */
export function readServerUrl(text: string | URL): ServerUrl {
  const url = URL.canParse(String(text)) ? new URL(String(text)) : undefined;
  if (url?.protocol === 'http+unix:') return unixUrl(url);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw new RelayError('CONFIG_INVALID', `the URL of the server: ${EXPECTED}`);
  return {
    origin: url.origin,
    path: pathOf(url.pathname, url.search),
    name: url.host,
    socketPath: undefined,
    authorization: basic(url),
  };
}

function unixUrl(url: URL): ServerUrl {
  const socketPath = decoded(url.host === '' ? url.pathname : url.host);
  if (!socketPath.startsWith('/')) throw new RelayError('CONFIG_INVALID', `the path of the unix socket: ${EXPECTED}`);
  return {
    origin: 'http://localhost',
    path: pathOf(url.host === '' ? '/' : url.pathname, url.search),
    name: socketPath,
    socketPath,
    authorization: basic(url),
  };
}

function pathOf(pathname: string, search: string): string {
  return (pathname === '/' || pathname === '' ? '/RPC2' : pathname) + search;
}

function basic({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RelayError(
      'CONFIG_INVALID',
      'the URL of the server: a % in it is not followed by the code of a character; write %25 for the sign itself',
    );
  }
}

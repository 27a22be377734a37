/** The name of a server in lists, stored decisions and logs. */

/** The URL without credentials, and without a path if that is `/`. */
export function serverName({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}

/** The one line by which a program says how it is called: `co2|1|http|127.0.0.1:<port>|/<token>` or `co2|1|poll`. Pure. */
import { clean } from '../../message/message.ts';

/** The versions of the protocol that this relay speaks. */
export const PROTOCOL_VERSIONS: readonly number[] = [1];

/** How a program is called. */
export type Handshake =
  | { readonly form: 'http'; readonly version: number; readonly port: number; readonly path: string }
  | { readonly form: 'poll'; readonly version: number };

/** Bytes of the line. Room for a long token; what is longer is no handshake. */
export const MAX_HANDSHAKE_BYTES = 1024;

const VERSION = /^\d{1,6}$/;
const PORT = /^\d{1,5}$/;
// What can stand in a request line as it is.
const PATH = /^\/[\w.~!$&'()*+,;=:@%/-]{1,512}$/;

/** Reads the line, without its end. Throws an Error that says what is wrong, with both sides' versions if it is that. */
export function readHandshake(line: string): Handshake {
  const [mark, version = '', form = '', ...rest] = line.replace(/\r$/, '').split('|', 6);
  if (mark !== 'co2')
    throw new Error(`its first line is no handshake: '${clean(line, 80)}'; expected co2|1|http|127.0.0.1:<port>|/<token> or co2|1|poll`);
  if (!VERSION.test(version) || !PROTOCOL_VERSIONS.includes(Number(version)))
    throw new Error(
      `it speaks version '${clean(version, 20)}' of the protocol, and this relay speaks ${PROTOCOL_VERSIONS.join(', ')} (CO2_PROTOCOL_VERSIONS)`,
    );
  const agreed = { version: Number(version) };
  if (form === 'poll' && rest.length === 0) return { form, ...agreed };
  if (form === 'http') return { form, ...agreed, ...readPlace(rest) };
  throw new Error(`its handshake asks for '${clean(form, 40)}'; expected http|127.0.0.1:<port>|/<token> or poll`);
}

function readPlace([place = '', path = '', ...more]: readonly string[]): { port: number; path: string } {
  const [host = '', port = '', ...others] = place.split(':');
  if (host !== '127.0.0.1' || others.length > 0 || !PORT.test(port) || Number(port) < 1 || Number(port) > 65535)
    throw new Error(`its handshake says that it listens at '${clean(place, 60)}'; expected 127.0.0.1:<port>`);
  if (!PATH.test(path) || more.length > 0)
    throw new Error('the path in its handshake cannot be; expected / and a token of letters, digits, "-" and "_"');
  return { port: Number(port), path };
}

/**
 * Parses the handshake, the line that says how to call a program: `co2|1|http|127.0.0.1:<port>|/<token>`, `co2|1|poll`, or from a child of
 * ours `co2|1|pipe`. Pure.
 */
import { RelayError, clean } from '../../core/core.ts';

/** The versions of the protocol that this relay speaks. */
export const PROTOCOL_VERSIONS: readonly number[] = [1];

/** How the relay calls a program: over HTTP, over a pipe that it inherited, or by queueing calls that the program fetches. */
export type Handshake =
  | { readonly form: 'http'; readonly version: number; readonly port: number; readonly path: string }
  | { readonly form: 'pipe' | 'poll'; readonly version: number };

/** Maximum length of the line, with room for a long token. A longer line is not a handshake. */
export const MAX_HANDSHAKE_BYTES = 1024;

const VERSION = /^\d{1,6}$/;
const PORT = /^\d{1,5}$/;
// Only characters that need no escaping in an HTTP request line.
const PATH = /^\/[\w.~!$&'()*+,;=:@%/-]{1,512}$/;

/**
 * Parses the line, given without its line end. Throws a RelayError PLUGIN_REFUSED that says what is wrong; a version mismatch names the
 * versions of both sides. The error quotes the line with `secrets`, and anything that looks like a secret, hidden. `hasPipe`: the program
 * has inherited one.
 */
export function readHandshake(line: string, secrets: readonly string[] = [], { hasPipe = false } = {}): Handshake {
  const [mark, version = '', form = '', ...rest] = partsOf(line);
  // Errors quote parts of the redacted line, never of the original one: a part alone may not look like a secret.
  const shown = withoutSecrets(line, secrets);
  const [, shownVersion = '', shownForm = '', shownPlace = ''] = partsOf(shown);
  if (mark !== 'co2')
    throw new RelayError(
      'PLUGIN_REFUSED',
      `its first line is no handshake: '${clean(shown, 80)}'; expected co2|1|http|127.0.0.1:<port>|/<token> or co2|1|poll`,
    );
  if (!VERSION.test(version) || !PROTOCOL_VERSIONS.includes(Number(version)))
    throw new RelayError(
      'PLUGIN_REFUSED',
      `it speaks version '${clean(shownVersion, 20)}' of the protocol, and this relay speaks ${PROTOCOL_VERSIONS.join(', ')} (CO2_PROTOCOL_VERSIONS)`,
    );
  const agreed = { version: Number(version) };
  if ((form === 'poll' || (form === 'pipe' && hasPipe)) && rest.length === 0) return { form, ...agreed };
  if (form === 'http') return { form, ...agreed, ...readPlace(rest, shownPlace) };
  throw new RelayError(
    'PLUGIN_REFUSED',
    `its handshake asks for '${clean(shownForm, 40)}'; expected http|127.0.0.1:<port>|/<token> or poll`,
  );
}

function partsOf(line: string): readonly string[] {
  return line.replace(/\r$/, '').split('|', 6);
}

const HIDDEN = '(hidden)';
const LIKE_HANDSHAKE = /^\W*co2\b/i;

/** Redacts a line for the log: hides `secrets` and what looks like one (in an address, after a label, a long random word). */
export function withoutSecrets(line: string, secrets: readonly string[] = []): string {
  const known = withoutKnown(line, secrets)
    // Credentials in a URL, with or without its scheme.
    .replace(/(:\/\/)[^\s/|@]+@/g, `$1${HIDDEN}@`)
    .replace(/[^\s/|@:]+:[^\s/|@]+@/g, `${HIDDEN}@`)
    // The path after an address, because it authorizes calls to the program.
    .replace(/(:\/\/[^\s/|'"]+|:\d{1,5})([|\s,;]*)\/[^\s|'"]+/g, `$1$2/${HIDDEN}`)
    .replace(/(token|secret|passw(?:or)?d|api_?key|bearer|basic)(["']?[\s=:]\s*["']?)(?!\(hidden\))[^\s"'|&,;]+/gi, `$1$2${HIDDEN}`)
    // These words also occur in sentences, so they count only before an equals sign or a colon.
    .replace(/((?:key|pass|passphrase|pwd|credentials?|session|cookie)["']?\s*[=:]\s*["']?)(?!\(hidden\))[^\s"'|&,;]+/gi, `$1${HIDDEN}`)
    .replace(/[\w-]{20,}/g, (word) => (/\d/.test(word) && /[A-Za-z]/.test(word) ? HIDDEN : word));
  if (!LIKE_HANDSHAKE.test(known)) return known;
  return known.replace(/([|\s])\/[^\s|]+/g, `$1/${HIDDEN}`).replace(/(:\d{1,5}[|\s,;]+)(?!\/?\(hidden\))[^\s|]+/g, `$1${HIDDEN}`);
}

/** Hides every occurrence of `secrets` in `text`. */
export function withoutKnown(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => (secret === '' ? rest : rest.replaceAll(secret, HIDDEN)), text);
}

function readPlace([place = '', path = '', ...more]: readonly string[], shown: string): { port: number; path: string } {
  const [host = '', port = '', ...others] = place.split(':');
  if (host !== '127.0.0.1' || others.length > 0 || !PORT.test(port) || Number(port) < 1 || Number(port) > 65535)
    throw new RelayError('PLUGIN_REFUSED', `its handshake says that it listens at '${clean(shown, 60)}'; expected 127.0.0.1:<port>`);
  if (!PATH.test(path) || more.length > 0)
    throw new RelayError('PLUGIN_REFUSED', 'the path in its handshake cannot be; expected / and a token of letters, digits, "-" and "_"');
  return { port: Number(port), path };
}

/** The flags by which users select the relay of a client command, and the parser of URLs as users write them. */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { clean, RelayError } from '../core/core.ts';

/** The flags of every client command. */
export interface TargetFlags {
  readonly url?: string;
  readonly data?: string;
  readonly config?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
  /** The timeout in seconds. */
  readonly timeout: number;
}

/** The flags of commands that may ask another node of the mesh. */
export interface NodeFlags extends TargetFlags {
  readonly node?: string;
}

/** The member of a call that names the node, if there is one. */
export function atNode({ node }: NodeFlags): { readonly node?: string } {
  return node === undefined ? {} : { node };
}

const OPTIONS = [
  new Option(
    '--url <url>',
    'the relay: http://host:port, host:port or unix:/path/of.socket (default: $CO2_URL, else the relay that runs on the state directory)',
  ),
  new Option(
    '--token <token>',
    'token (default: $CO2_TOKEN, else admin.token of the state directory, sent only to the relay that owns it)',
  ),
  new Option('--token-file <file>', 'file that contains the token (default: $CO2_TOKEN_FILE)'),
  new Option('--data <dir>', 'state directory of the relay, with admin.token (default: from the configuration, .co2)'),
  new Option('--config <file>', 'configuration file of the relay (default: config.ts, if it exists)'),
  new Option('--timeout <seconds>', 'time limit of a call').argParser(seconds).default(60),
  new Option('--json', 'print JSON in the form of the JSON API: {"$date": ...}, {"$base64": ...}; errors too'),
];

/** The help for these options, printed only by `co2 --help`. */
export const TARGET_HELP = `Options of all commands that ask a relay, before or after the command:
${OPTIONS.map(({ flags, description }) => `  ${flags.padEnd(22)} ${description}`).join('\n')}`;

/** Adds the flags but `except` to a command, whose own help does not repeat them. */
export function addTargetOptions(command: Command, except?: string): Command {
  for (const { flags, long, description, parseArg, defaultValue } of OPTIONS) {
    if (long === except) continue;
    const option = new Option(flags, description).hideHelp();
    if (parseArg) option.argParser(parseArg);
    if (defaultValue !== undefined) option.default(defaultValue);
    command.addOption(option);
  }
  return command;
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError('expected seconds, more than 0 and at most 86400.');
}

const UNIX = 'http+unix:';

/** The path of the unix socket if `url` names one. */
export function socketOf(url: URL): string | undefined {
  return url.protocol === UNIX ? decodeURIComponent(url.host === '' ? url.pathname : url.host) : undefined;
}

/**
 * Reads a URL as a person types it; `source` is where it was written. `host:port` and `:port` mean HTTP. Throws a RelayError
 * CONFIG_INVALID.
 */
export function urlOf(text: string, source: string): URL {
  const full = completeUrl(text);
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  if (url?.protocol === UNIX && isSocketPath(url)) return url;
  const expected = 'expected a URL like http://127.0.0.1:2004, 127.0.0.1:2004, unix:/run/co2.sock or http+unix:/run/co2.sock';
  throw new RelayError('CONFIG_INVALID', `${source}: found '${withoutPassword(text)}', ${expected}`);
}

function completeUrl(text: string): string {
  if (text.startsWith('unix:/')) return `http+${text}`;
  if (/^:\d{1,5}$/.test(text)) return `http://127.0.0.1${text}`;
  return /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}(?:\/.*)?$/.test(text) ? `http://${text}` : text;
}

function withoutPassword(text: string): string {
  return clean(text.replace(/\/\/[^/]*@/, '//…@'), 200);
}

function isSocketPath(url: URL): boolean {
  try {
    return socketOf(url)?.startsWith('/') === true;
  } catch {
    return false;
  }
}

/** `co2 token`: creates, lists and revokes the tokens of a state directory; a running relay applies the change within a second. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { ACCESS_CLASSES, clean, RelayError } from '../core/core.ts';
import { EXTENSIONS, grantOf, isMethodGlob, addToken, listTokens, removeToken } from '../access/access.ts';
import type { AccessClass } from '../core/core.ts';
import type { Extension, Grant, StoredToken } from '../access/access.ts';
import { openStateDirectory } from '../state/state.ts';
import { prepare } from './command-line.ts';
import { optionsOf } from './find-relay.ts';
import { toJson } from './values.ts';

interface PlaceFlags {
  readonly data?: string;
  readonly config?: string;
  readonly json?: boolean;
}

interface CreateFlags extends PlaceFlags {
  readonly reads?: readonly Extension[];
  readonly methods?: readonly string[];
  readonly classes?: readonly AccessClass[];
  readonly expires?: Date;
}

/** Adds the command and its subcommands. */
export function addTokenCommand(program: Command): void {
  const token = prepare(program.command('token')).description(
    'create, list and revoke tokens (for Authorization: Bearer, or as a password)',
  );
  const placed = (name: string): Command =>
    prepare(token.command(name))
      .option('--data <dir>', 'state directory (default: .co2)')
      .option('--config <file>', 'configuration file (default: config.ts, if it exists)')
      .option('--json', 'print JSON');
  placed('create <name>')
    .description('create a token and print it; it is not shown again')
    .option('--methods <globs>', "methods that it may call, such as 'ham.*,ping'; * matches one or more characters (default: all)", globs)
    .option(
      '--classes <list>',
      `access classes that it may call, out of ${ACCESS_CLASSES.join(', ')} (default: read,message,call)`,
      classes,
    )
    .option(
      '--reads <list>',
      `XML-RPC extensions that its holder can parse, out of ${EXTENSIONS.join(', ')} (default: those that a call uses)`,
      extensions,
    )
    .option('--expires <when>', 'expiry, after minutes, hours or days (90m, 12h, 30d) or at a date (default: never)', expiry)
    .action(create);
  placed('list').description('list the tokens without their secrets').action(list);
  placed('revoke <name>').description('revoke a token').action(revoke);
}

async function create(name: string, flags: CreateFlags): Promise<void> {
  const { dataDir } = await optionsOf(flags);
  await openStateDirectory(dataDir);
  const grant = { name, ...grantOf(flags), ...(flags.reads === undefined ? {} : { reads: flags.reads }) };
  const token = await addToken(dataDir, grant, flags.expires, new Date());
  if (flags.json === true) {
    print(toJson({ ...grant, expires: flags.expires?.toISOString() ?? null, token }, 0));
    return;
  }
  print(token);
  const until = flags.expires === undefined ? '' : ` until ${flags.expires.toISOString()}`;
  process.stderr.write(
    `token '${name}' grants ${grant.classes.join(', ')} on ${grant.methods.join(', ')}${until}; it is not shown again\n`,
  );
}

async function list(flags: PlaceFlags): Promise<void> {
  const { dataDir, access } = await optionsOf(flags);
  const configured = Object.entries(access.tokens).map(([name, token]) =>
    listed({ name, ...grantOf(token), from: 'configuration' }, token),
  );
  const stored = listTokens(dataDir).map((token) => {
    const { name, classes: may, methods, created } = token;
    return listed({ name, classes: may, methods, created, from: 'state directory' }, token);
  });
  const tokens = [...configured, ...stored];
  if (flags.json === true) {
    print(toJson(tokens, 0));
    return;
  }
  if (tokens.length === 0) process.stderr.write('no tokens; create one with co2 token create NAME\n');
  for (const { name, classes: may, methods, reads = [], from, expires, expired } of tokens) {
    const end = expires === null ? 'never expires' : `${expired ? 'expired' : 'expires'} ${expires}`;
    const extra = reads.length === 0 ? '' : `  reads ${reads.join(',')}`;
    print(`${name}  ${may.join(',')}  ${methods.join(',')}  ${end}${extra}${from === 'configuration' ? '  (configuration)' : ''}`);
  }
}

async function revoke(name: string, flags: PlaceFlags): Promise<void> {
  const { dataDir, access } = await optionsOf(flags);
  if (Object.hasOwn(access.tokens, name))
    throw new RelayError(
      'INVALID_PARAMS',
      `the token '${clean(name, 100)}' is defined in the configuration: remove it there and restart the relay`,
    );
  await removeToken(dataDir, clean(name, 100));
  print(flags.json === true ? toJson({ revoked: name }, 0) : `revoked ${name}`);
}

interface Listed extends Grant {
  readonly name: string;
  /** The time in ISO 8601 format. */
  readonly created?: string;
  readonly from: 'configuration' | 'state directory';
}

function listed(token: Listed, { reads = [], expires }: Pick<StoredToken, 'reads' | 'expires'>) {
  return {
    ...token,
    ...(reads.length === 0 ? {} : { reads }),
    expires: expires ?? null,
    expired: expires !== undefined && Date.parse(expires) <= Date.now(),
  };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function globs(text: string): readonly string[] {
  const parts = text.split(',');
  const wrong = parts.find((glob) => !isMethodGlob(glob));
  if (wrong === undefined) return parts;
  throw new InvalidArgumentError(`'${clean(wrong, 50)}' is not a method pattern; expected names, with '*' for one or more characters.`);
}

function classes(text: string): readonly AccessClass[] {
  return text.split(',').map((name) => {
    const known = ACCESS_CLASSES.find((one) => one === name);
    if (known !== undefined) return known;
    throw new InvalidArgumentError(`expected some of ${ACCESS_CLASSES.join(', ')}.`);
  });
}

function extensions(text: string): readonly Extension[] {
  return text.split(',').map((name) => {
    const known = EXTENSIONS.find((one) => one === name);
    if (known !== undefined) return known;
    throw new InvalidArgumentError(`expected some of ${EXTENSIONS.join(', ')}.`);
  });
}

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

function expiry(text: string): Date {
  const [, count = '', unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const isDate = /^\d{4}-\d\d-\d\d/.test(text);
  const at = count === '' ? Date.parse(isDate ? text : 'x') : Date.now() + Number(count) * (UNIT_MS[unit] ?? 0);
  if (Number.isNaN(at)) throw new InvalidArgumentError('expected 90m, 12h, 30d or a date like 2027-01-31.');
  if (at <= Date.now()) throw new InvalidArgumentError('that is in the past.');
  return new Date(at);
}

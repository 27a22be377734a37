/** `co2 gen client`: writes a typed TypeScript client of a server, made from what the server says of its methods. */
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { clean, RelayError } from '../message/message.ts';
import { client } from './client-commands.ts';
import { clientSource, MARK } from './client-source.ts';
import { prepare } from './command-line.ts';
import { readMethods } from './introspection.ts';
import { socketOf, withRelay } from './relay-connection.ts';
import type { TargetFlags } from './relay-connection.ts';
import { toJson } from './values.ts';

interface GenFlags extends TargetFlags {
  readonly out: string;
  readonly force?: boolean;
}

const MORE = `
The server may be any that knows system.listMethods. With --json what was written is told as {out, url, methods}.`;

/** Adds the command. */
export function addGenCommand(program: Command): void {
  const gen = prepare(program.command('gen')).description('write code for programs that call a relay');
  client(gen, 'client', 'write a typed TypeScript client of all methods', MORE)
    .requiredOption('--out <file>', 'where to write it; - is the standard output')
    .option('--force', 'write over a file that was not made by this command')
    .action(generate);
}

async function generate({ out, force = false, ...flags }: GenFlags): Promise<void> {
  const isStdout = out === '-';
  if (isStdout && flags.json === true)
    throw new RelayError('CONFIG_INVALID', '--json: with --out - the standard output is the client itself; leave one out');
  // Told before anybody is asked.
  if (!isStdout && !force) requireOurs(out);
  const { methods, from } = await withRelay(flags, async (call, url) => ({ methods: await readMethods(call), from: publicUrl(url) }));
  const source = clientSource(methods, from);
  if (isStdout) {
    process.stdout.write(source);
    return;
  }
  write(out, source);
  const text = `wrote ${clean(out)}: ${methods.length} methods of ${from}`;
  process.stdout.write(`${flags.json === true ? toJson({ out, url: from, methods: methods.length }) : text}\n`);
}

/** Without credentials; a query may hold one, too. */
function publicUrl(url: URL): string {
  const socket = socketOf(url);
  if (socket !== undefined) return `http+unix:${socket}`;
  return `${url.origin}${url.pathname === '/' ? '/RPC2' : url.pathname}`;
}

/** Throws a RelayError CONFIG_INVALID if something else than a generated client stands at `path`. */
function requireOurs(path: string): void {
  const begin = beginOf(path);
  if (begin === undefined || begin === MARK) return;
  throw new RelayError(
    'CONFIG_INVALID',
    `--out: ${clean(path)} was not made by co2 gen client; name another file, or write over it with --force`,
  );
}

/** As much of a file as {@link MARK} is long, or undefined if there is none. */
function beginOf(path: string): string | undefined {
  const bytes = Buffer.alloc(Buffer.byteLength(MARK));
  try {
    const file = openSync(path, 'r');
    try {
      return bytes.toString('utf8', 0, readSync(file, bytes));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unwritable(path, error);
  }
}

function write(path: string, source: string): void {
  try {
    writeFileSync(path, source);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): RelayError {
  const { code = 'unknown' } = error as NodeJS.ErrnoException;
  const reason = REASONS[code] ?? code;
  return new RelayError('CONFIG_INVALID', `--out: ${clean(path)} cannot be written: ${reason}`, { cause: error });
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOENT: 'there is no such directory',
  ENOTDIR: 'a file stands where a directory is needed',
  ENOSPC: 'the disk is full',
};

/** The package as `npm pack` makes it, and directories of people who have installed it, outside of the repository. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import type { Sendable, Value } from '../../src/values/values.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { PROJECT_DIR, run } from '../support/processes.ts';
import type { Program } from '../support/processes.ts';

const execute = promisify(execFile);
/** What `npm pack` must not depend on: npm would not have it, or the build has to make it. */
const NOT_COPIED = new Set(['.git', '.co2', 'dist', 'node_modules']);

export interface PackedFile {
  readonly path: string;
  /** Permissions. */
  readonly mode: number;
}

export interface Packed {
  /** The directory that the tarball was unpacked to. */
  readonly directory: string;
  /** The tarball itself. */
  readonly tarball: Buffer;
  readonly files: readonly PackedFile[];
  /** Where it was built. */
  readonly builtIn: string;
  readonly remove: () => void;
}

/** Runs `npm pack`, its build included, in a copy of the project that has no dist/, and unpacks the tarball. */
export async function packProject(): Promise<Packed> {
  const place = realpathSync(mkdtempSync(join(tmpdir(), 'co2-packed-')));
  const checkout = join(place, 'checkout');
  const filter = (source: string): boolean => dirname(source) !== dirname(join(PROJECT_DIR, 'x')) || !NOT_COPIED.has(basename(source));
  cpSync(PROJECT_DIR, checkout, { recursive: true, filter });
  symlinkSync(join(PROJECT_DIR, 'node_modules'), join(checkout, 'node_modules'));
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { stdout } = await execute(npm, ['pack', '--json', '--offline', '--pack-destination', place], { cwd: checkout });
  // What the build says stands before it.
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.search(/^\[$/m))) as [{ filename: string; files: PackedFile[] }];
  await execute('tar', ['-xzf', join(place, filename), '-C', place]);
  rmSync(checkout, { recursive: true });
  return {
    directory: join(place, 'package'),
    tarball: readFileSync(join(place, filename)),
    files,
    builtIn: checkout,
    remove: () => {
      rmSync(place, { recursive: true, force: true });
    },
  };
}

/** Path -> source, below a directory. */
export type Files = Readonly<Record<string, string>>;

/** Writes the files. */
export function writeFiles(directory: string, files: Files): void {
  for (const [path, source] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), source);
  }
}

/**
 * A directory with `files` where somebody has run `npm install co2-relay`: the package, its command, and of the dependencies those that its
 * package.json
 * names for production and no others, so that one which is missing there is missing here.
 */
export function installed(t: ExecutionContext, { directory: packed }: Packed, files: Files = {}): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'co2-installed-')));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  writeFiles(directory, files);
  addCopy(packed, join(directory, 'node_modules'));
  mkdirSync(join(directory, 'node_modules/.bin'));
  symlinkSync('../co2-relay/bin/co2.mjs', join(directory, 'node_modules/.bin/co2'));
  return directory;
}

/** Puts a copy of the package and of its dependencies into a node_modules. */
export function addCopy(packed: string, nodeModules: string): void {
  cpSync(packed, join(nodeModules, 'co2-relay'), { recursive: true });
  const { dependencies } = JSON.parse(readFileSync(join(packed, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  for (const name of Object.keys(dependencies)) {
    const [from, to] = [join(PROJECT_DIR, 'node_modules', name), join(nodeModules, name)];
    mkdirSync(dirname(to), { recursive: true });
    // The one with a state of its own is copied, as npm would: two copies of the package may have two of it.
    if (name === 'reflect-metadata') cpSync(realpathSync(from), to, { recursive: true });
    else symlinkSync(realpathSync(from), to);
  }
}

export interface InstalledRelay extends Program {
  readonly url: string;
  call(method: string, ...params: Sendable[]): Promise<Value>;
}

/** Runs the installed command in `cwd`, as npx does, and waits until it is ready. */
export async function startInstalled(
  t: ExecutionContext,
  directory: string,
  args: readonly string[] = [],
  cwd = directory,
): Promise<InstalledRelay> {
  const program = run(t, join(directory, 'node_modules/.bin/co2'), ['start', '--port', '0', ...args], { cwd });
  const line = await program.stdout.line(/./).catch(async (error: unknown) => {
    throw new Error(`co2 did not start:\n${(await program.exit).stderr.join('\n')}`, { cause: error });
  });
  const url = /^co2-relay \S+ listening on (http:\S+) as /.exec(line)?.[1] ?? '';
  const client = new XmlRpcClient(new URL(url));
  t.teardown(() => client.close());
  return { ...program, url, call: (method, ...params) => client.call(method, params) };
}

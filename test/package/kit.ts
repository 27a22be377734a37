/** The package as built by `npm pack`, and directories outside of the repository where it is installed. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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
/** What `npm pack` must not depend on: files that are not published, or that the build creates. */
const NOT_COPIED = new Set(['.git', '.co2', 'dist', 'node_modules']);

export interface PackedFile {
  readonly path: string;
  /** Permissions. */
  readonly mode: number;
}

export interface Packed {
  /** The directory that the tarball was unpacked to. */
  readonly directory: string;
  /** The path of the tarball. */
  readonly tarball: Buffer;
  readonly files: readonly PackedFile[];
  /** The directory that it was built in. */
  readonly builtIn: string;
  readonly remove: () => void;
}

/** Runs `npm pack`, including the build, in a copy of the project without dist/, and unpacks the tarball. */
export async function packProject(): Promise<Packed> {
  const work = realpathSync(mkdtempSync(join(tmpdir(), 'co2-packed-')));
  const checkout = join(work, 'checkout');
  const filter = (source: string): boolean => dirname(source) !== dirname(join(PROJECT_DIR, 'x')) || !NOT_COPIED.has(basename(source));
  cpSync(PROJECT_DIR, checkout, { recursive: true, filter });
  symlinkSync(join(PROJECT_DIR, 'node_modules'), join(checkout, 'node_modules'));
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { stdout } = await execute(npm, ['pack', '--json', '--offline', '--pack-destination', work], { cwd: checkout });
  // The output of the build comes before it.
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.search(/^\[$/m))) as [{ filename: string; files: PackedFile[] }];
  await execute('tar', ['-xzf', join(work, filename), '-C', work]);
  rmSync(checkout, { recursive: true });
  return {
    directory: join(work, 'package'),
    tarball: readFileSync(join(work, filename)),
    files,
    builtIn: checkout,
    remove: () => {
      rmSync(work, { recursive: true, force: true });
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
 * Creates a directory with `files` as after `npm install co2-relay`: it has the package, its command, and exactly the production
 * dependencies in its package.json, so that a missing one causes an error.
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

interface Dependencies {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

/** Copies the package and links its dependencies into a node_modules. */
export function addCopy(packed: string, nodeModules: string): void {
  cpSync(packed, join(nodeModules, 'co2-relay'), { recursive: true });
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(packed, 'package.json'), 'utf8')) as Dependencies;
  for (const name of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)]) {
    const [from, to] = [join(PROJECT_DIR, 'node_modules', name), join(nodeModules, name)];
    // npm installs only the compiler of this platform.
    if (name in optionalDependencies && !existsSync(from)) continue;
    mkdirSync(dirname(to), { recursive: true });
    // The one with state of its own is copied, as npm would: two copies of the package may have separate state.
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

/** A small co2-relay of its own in a temporary directory, with the real loader in it, and child processes that use it. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';

const execute = promisify(execFile);
const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** `thread` is `module.register`, `main` is `module.registerHooks`, which old versions of Node do not have. */
export type Kind = 'main' | 'thread';
export const KINDS: readonly Kind[] = 'registerHooks' in nodeModule ? ['main', 'thread'] : ['thread'];

/** The public module, as a plugin sees it. */
const publicModule = `
  const anything = (...args: unknown[]): any => (typeof args[0] === 'function' ? undefined : () => undefined);
  export const Satellite = anything;
  export const Exposed = anything;
  export class Dict {}
  export class Plugin {}
  export const from: string = import.meta.url;
`;

const manifest = {
  name: 'co2-relay',
  type: 'module',
  exports: {
    '.': { types: './dist/plugin/plugin.d.ts', default: './dist/plugin/plugin.js' },
    './config': './dist/define-config.js',
    './package.json': './package.json',
  },
};

/** A temporary directory with these files, removed after the test. */
export function makeTree(t: ExecutionContext, files: Record<string, string>): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'co2-loader-')));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** The package as a checkout has it (`src/`), or as npm installs it (`dist/`). */
export function makePackage(t: ExecutionContext, layout: 'src' | 'dist' = 'src'): string {
  const extension = layout === 'src' ? 'ts' : 'js';
  const text = layout === 'src' ? publicModule : 'export const from = import.meta.url;\n';
  const root = makeTree(t, {
    'package.json': JSON.stringify(manifest),
    [`${layout}/plugin/plugin.${extension}`]: text,
    [`${layout}/define-config.${extension}`]: 'export const from = import.meta.url;\n',
  });
  cpSync(join(checkout, 'src/loader'), join(root, layout, 'loader'), { recursive: true });
  symlinkSync(join(checkout, 'node_modules'), join(root, 'node_modules'));
  return root;
}

export interface Run {
  packageDir: string;
  kind?: Kind;
  cacheDir?: string;
  layout?: 'src' | 'dist';
}

/** Runs statements in a process with the loader of the package, and returns what they pass to `answer`. */
export async function run(
  { packageDir, kind = KINDS[0] ?? 'thread', cacheDir, layout = 'src' }: Run,
  statements: string,
): Promise<unknown> {
  const script = `
    import module from 'node:module';
    if (${String(kind === 'thread')}) { module.registerHooks = undefined; module.syncBuiltinESMExports(); }
    const { registerLoader, docCommentsOf, isCompileError, trackModules, moduleUrl, renewChanged, renewModule } = await import(${JSON.stringify(join(packageDir, layout, 'loader/loader.mjs'))});
    registerLoader({ cacheDir: ${JSON.stringify(cacheDir)} });
    await import('reflect-metadata');
    const swcIsLoaded = () => process.report.getReport().sharedObjects.some((file) => file.includes('swc'));
    const failure = (promise) => promise.then(() => 'no failure', (error) => error);
    const answer = (value) => console.log('ANSWER ' + JSON.stringify(value));
    ${statements}
  `;
  const { stdout, stderr } = await execute(process.execPath, ['--no-warnings', '--input-type=module', '-e', script], { cwd: packageDir });
  const line = stdout.split('\n').find((row) => row.startsWith('ANSWER '));
  if (line === undefined) throw new Error(`no answer\n${stdout}\n${stderr}`);
  return JSON.parse(line.slice('ANSWER '.length));
}

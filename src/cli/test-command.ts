/** `co2 test`: runs the tests of plugins with Node's test runner; TypeScript needs no build step. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { clean, RelayError } from '../core/core.ts';
import { prepare } from './command-line.ts';
import { loaderImport } from './package.ts';
import { optionsOf } from './find-relay.ts';

interface TestFlags {
  readonly dir?: string;
  readonly config?: string;
}

/** Adds the command; `onExit` receives its exit code. */
export function addTestCommand(program: Command, onExit: (code: number) => void): void {
  prepare(program.command('test [files...]'))
    .description("run the tests of plugins (*.test.ts) with Node's test runner (default: all below the plugins directory)")
    .option('--dir <dir>', 'directory with tests (default: the plugins directory)')
    .option('--config <file>', 'configuration file that names the plugins directory (default: config.ts, if it exists)')
    .action(async (files: readonly string[], flags: TestFlags) => {
      onExit(await runTests(files.length > 0 ? files : await findTests(flags)));
    });
}

/** Resolves to the exit code: 0 if all tests passed. */
async function runTests(files: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [`--import=${loaderImport()}`, '--test', ...files], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

async function findTests({ dir, config }: TestFlags): Promise<readonly string[]> {
  const directory = dir === undefined ? (await optionsOf(config === undefined ? {} : { config })).pluginsDir : resolve(dir);
  const { glob } = await import('glob');
  const files = await glob('**/*.test.{ts,mts,js,mjs}', { cwd: directory, absolute: true, ignore: '**/node_modules/**' });
  if (files.length === 0)
    throw new RelayError('CONFIG_INVALID', `no tests (*.test.ts) below ${clean(directory)}; co2 new plugin writes one`);
  return files.sort();
}

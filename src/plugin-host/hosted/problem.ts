/** Why a file, a class or a step was left out: where and what, fit for one line of a log. */
import { existsSync } from 'node:fs';
import { basename, isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Stale } from '../../loader/loader.mjs';
import { clean, hasMark, reasonOf, RelayError } from '../../core/core.ts';
import { EXTENSIONS } from './names.ts';
import { missingExportOf } from './type-import-hint.ts';
import { readFile } from 'node:fs/promises';
import { frameOf } from '../../loader/loader.mjs';

export interface PluginProblem {
  /** `ham.spam`, where it got a name. */
  readonly module?: string | undefined;
  /** Relative to the plugins directory, with `/`, if it is inside; `node_modules/co2-ham/...` of an npm package; else absolute. */
  readonly file: string;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  /** One cleaned sentence. */
  readonly reason: string;
  /** The lines around the place, as the compiler shows them. */
  readonly frame?: string | undefined;
}

const COMPILE_ERROR = Symbol.for('co2-relay.CompileError');
const MAX_REASON = 500;

/** `ham/spam.ts:3:7`. */
export function placeOf({ file, line, column }: PluginProblem): string {
  return [file, line, column].filter((part) => part !== undefined).join(':');
}

// As `placeOf` and `whereThrown` write it.
const PLACE = /(?:^|[\s(])([\w@.~/-]{1,300}\.[mc]?[jt]s):(\d{1,7})(?::(\d{1,7}))?(?=[):\s]|$)/;

/** The first place that a text names, `ham/spam.ts:3:7`; empty if there is none. */
export function placeIn(text: string): Partial<Pick<PluginProblem, 'file' | 'line' | 'column'>> {
  const [, file, line, column] = PLACE.exec(text) ?? [];
  return file === undefined ? {} : { file, line: Number(line), ...(column === undefined ? {} : { column: Number(column) }) };
}

/**
 * The problem that `thrown` means for `file` (relative to `directory`): the compiler's place, or the first stack frame inside the
 * directory.
 */
export function problemOf(thrown: unknown, directory: string, file: string): PluginProblem {
  if (hasMark(thrown, COMPILE_ERROR)) {
    const { file: path, line, column, reason, frame } = thrown as Required<PluginProblem>;
    return { file: shown(directory, path), line, column, reason: clean(reason, MAX_REASON), frame };
  }
  const stack = thrown instanceof Error && typeof thrown.stack === 'string' ? thrown.stack : '';
  const reason = reasonText(thrown, directory);
  const missing = missingExportOf(thrown);
  const importer = missing && inside(directory, missing.file);
  if (importer !== undefined && missing?.line !== undefined) return { file: importer, line: missing.line, reason };
  return { file, ...firstPlace(stack, directory), reason };
}

/** Where a module lies on the disk. */
export interface Place {
  /** The plugins directory, or the npm package's; without symbolic links. */
  readonly root: string;
  /** What people are told instead of `root`: `''`, or `node_modules/co2-ham/`. */
  readonly rootName: string;
  /** Relative to `root`, with `/`. */
  readonly path: string;
}

/** The problem that `thrown` means for a module. */
export function problemAt(thrown: unknown, { root, rootName, path }: Place): PluginProblem {
  const problem = problemOf(thrown, root, path);
  return isAbsolute(problem.file) ? problem : { ...problem, file: clean(rootName + problem.file) };
}

/** A file, by its absolute path, as people are told of it. */
export function fileAt({ root, rootName }: Place, path: string): string {
  const file = shown(root, path);
  return clean(isAbsolute(file) ? file : rootName + file);
}

/** What stays as it was when it was first imported, as people are told of it: `ham/_old.cjs (CommonJS)`, `node_modules/thing`. */
export function staleText(place: Place, { path, kind }: Stale): string {
  if (kind === 'commonjs') return `${fileAt(place, path)} (CommonJS)`;
  return clean(path.slice(path.lastIndexOf('node_modules')).split(sep).join('/'));
}

/** The first line of the message of anything thrown, cleaned, with paths relative to `directory`. */
export function reasonText(thrown: unknown, directory: string): string {
  const [first = ''] = reasonOf(thrown).trim().split('\n', 1);
  const text = first.replaceAll(pathToFileURL(join(directory, sep)).href, '').replaceAll(join(directory, sep), '');
  return clean(
    text === '' ? 'an error without a text' : text + forgottenExtension(thrown) + (missingExportOf(thrown)?.hint ?? ''),
    MAX_REASON,
  );
}

/** What bundlers add by themselves and Node does not: `; write its extension: _helper.ts`. */
function forgottenExtension(thrown: unknown): string {
  const { code, url } = thrown instanceof Error ? (thrown as NodeJS.ErrnoException & { readonly url?: unknown }) : {};
  if (code !== 'ERR_MODULE_NOT_FOUND' || typeof url !== 'string') return '';
  const path = pathOf(url);
  const extension = path === '' ? undefined : EXTENSIONS.find((known) => existsSync(`${path}.${known}`));
  return extension === undefined ? '' : `; write its extension: ${basename(path)}.${extension}`;
}

/** ` (ham/spam.ts:12:5)` or nothing: where the plugins directory's code threw. */
export function whereThrown(thrown: unknown, directory: string): string {
  const problem = problemOf(thrown, directory, '');
  return problem.file === '' ? '' : ` (${clean(placeOf(problem))})`;
}

interface Spot {
  file: string;
  line: number;
  column?: number;
}

/** Stack frames look like `at f (file:///dir/ham/spam.ts?v=1:3:7)`; a syntax error's stack begins with `file:///dir/ham/spam.js:3`. */
function firstPlace(stack: string, directory: string): Spot | undefined {
  for (const row of stack.split('\n')) {
    const [, spot, line = '', column] =
      /(file:\/\/[^\s()]+?|\/[^\s()]+?|[A-Za-z]:\\[^()]+?)(?:\?[^\s:()]*)?:(\d+)(?::(\d+))?\)?$/.exec(row) ?? [];
    const file = spot === undefined ? undefined : inside(directory, pathOf(spot));
    if (file === undefined) continue;
    return { file, line: Number(line), ...(column === undefined ? {} : { column: Number(column) }) };
  }
  return undefined;
}

function pathOf(spot: string): string {
  try {
    return spot.startsWith('file:') ? fileURLToPath(spot) : spot;
  } catch {
    return '';
  }
}

function shown(directory: string, file: string): string {
  return inside(directory, file) ?? file;
}

function inside(directory: string, file: string): string | undefined {
  if (!isAbsolute(file)) return undefined;
  const path = relative(directory, file).split(sep).join('/');
  if (path === '' || path.startsWith('../') || isAbsolute(path) || path.includes('node_modules/')) return undefined;
  return path;
}

/** A problem that is thrown. */
export class PluginFailure extends Error {
  constructor(readonly problem: PluginProblem) {
    super(problem.reason);
  }
}

/** The problem that `thrown` means for a module: where the plugin's own code failed, if it did, and why. */
export function failureOf(thrown: unknown, place: Place & { readonly module: string }): PluginProblem {
  if (thrown instanceof PluginFailure) return thrown.problem;
  // A refusal tells the reason in its words, and its cause the place.
  const isRefusal = RelayError.is(thrown) && thrown.cause !== undefined;
  const problem = problemAt(isRefusal ? thrown.cause : thrown, place);
  return { ...problem, module: place.module, reason: isRefusal ? reasonText(thrown, place.root) : problem.reason };
}

/** The lines around the place of a problem; none if there is no place in a file of the plugin. */
export async function frameRows({ file, line, column = 1, frame }: PluginProblem, { root, rootName }: Place): Promise<readonly string[]> {
  const text = frame ?? (line === undefined ? '' : await readFrame(join(root, file.slice(rootName.length)), line, column));
  return text
    .split('\n')
    .filter((row) => row !== '')
    .map((row) => clean(row.replaceAll('\t', ' '), 200));
}

async function readFrame(path: string, line: number, column: number): Promise<string> {
  const source = await readFile(path, 'utf8').catch(() => '');
  const lines = source.split(/\r\n|[\n\r\u2028\u2029]/);
  return line > lines.length ? '' : frameOf(lines, line, column);
}

/** Why the plugin of this name does not run. */
export function refusal(name: string, reason: string, cause?: unknown): RelayError {
  return new RelayError('PLUGIN_REFUSED', `plugin ${clean(name)}: ${reason}`, { cause });
}

/** Why a version that does not hand over its state is not replaced. */
export function notHandedOver(name: string, reason: string, cause: unknown): RelayError {
  return refusal(name, `the running version does not hand over: ${reason}; a restart of the plugin drops its state`, cause);
}

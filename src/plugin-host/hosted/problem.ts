/** Explains why a file, a class or a version does not run: the place in the source and the reason, both safe for a line of a log. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { clean, hasMark, reasonOf, RelayError } from '../../core/core.ts';
import { frameOf } from '../../loader/loader.mjs';
import type { ErrorData } from '../../core/core.ts';
import type { StaleModule } from '../../loader/loader.mjs';
import { EXTENSIONS } from './module-file.ts';

export interface PluginProblem {
  /** `ham.spam`, if it has a name. */
  readonly module?: string | undefined;
  /** Relative to the plugins directory, with `/`, if it is inside; `node_modules/co2-ham/...` in an npm package; otherwise absolute. */
  readonly file: string;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  /** One sentence, sanitized. */
  readonly reason: string;
  /** The lines of the source around the place, as the compiler shows them. */
  readonly frame?: string | undefined;
}

const COMPILE_ERROR = Symbol.for('co2-relay.CompileError');
const MAX_REASON = 500;

/** `ham/spam.ts:3:7`. */
export function placeOf({ file, line, column }: PluginProblem): string {
  return [file, line, column].filter((part) => part !== undefined).join(':');
}

// Matches what `placeOf` and `whereThrown` write.
const PLACE = /(?:^|[\s(])([\w@.~/-]{1,300}\.[mc]?[jt]s):(\d{1,7})(?::(\d{1,7}))?(?=[):\s]|$)/;

/** The first place that a text names, such as `ham/spam.ts:3:7`. Empty if there is none. */
export function placeIn(text: string): Partial<Pick<PluginProblem, 'file' | 'line' | 'column'>> {
  const [, file, line, column] = PLACE.exec(text) ?? [];
  return file === undefined ? {} : { file, line: Number(line), ...(column === undefined ? {} : { column: Number(column) }) };
}

/**
 * The problem for a thrown value in `file` (relative to `directory`): at the place that the compiler names, or at the first stack frame
 * inside the directory.
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
  const place = firstPlace(stack, directory);
  return { file, ...place, ...(place && decoratorPlace(reason, join(directory, place.file))), reason };
}

const DECORATOR_ERROR = /^@(Exposed|Satellite|RelayPlugin) on ([\w$]+)(?:\.([\w$]+))?: /;

/** Where the decorator is that a reason names: decorators of methods run at the end of their class, so the stack leads there. */
function decoratorPlace(reason: string, path: string): { readonly line: number; readonly column: number } | undefined {
  const [, decorator, className = '', method] = DECORATOR_ERROR.exec(reason) ?? [];
  if (decorator === undefined) return undefined;
  const source = textOf(path);
  const classAt = source.search(new RegExp(`\\bclass\\s+${escape(className)}(?![\\w$])`));
  const inClass = classAt === -1 ? '' : source.slice(classAt);
  const memberAt = method === undefined ? 0 : inClass.search(new RegExp(`(?<![\\w$.])${escape(method)}\\s*[(<]`));
  const at = memberAt === -1 ? -1 : source.lastIndexOf(`@${decorator}`, classAt + memberAt);
  if (at === -1 || (method !== undefined && at < classAt)) return undefined;
  const before = source.slice(0, at).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** The location of a module on the disk. */
export interface ModuleLocation {
  /** The plugins directory, or that of the npm package, without symbolic links. */
  readonly root: string;
  /** What people read instead of `root`: `''`, or `node_modules/co2-ham/`. */
  readonly rootName: string;
  /** Relative to `root`, with `/`. */
  readonly path: string;
}

/** The problem for a value that a module threw. */
export function problemAt(thrown: unknown, { root, rootName, path }: ModuleLocation): PluginProblem {
  const problem = problemOf(thrown, root, path);
  return isAbsolute(problem.file) ? problem : { ...problem, file: clean(rootName + problem.file) };
}

/** The name of a file for people, by its absolute path. */
export function fileAt({ root, rootName }: ModuleLocation, path: string): string {
  const file = shown(root, path);
  return clean(isAbsolute(file) ? file : rootName + file);
}

/** The name of a file that still runs as it was first imported: `ham/_old.cjs (CommonJS)`, `node_modules/thing`. */
export function staleText(place: ModuleLocation, { path, kind }: StaleModule): string {
  if (kind === 'commonjs') return `${fileAt(place, path)} (CommonJS)`;
  return clean(path.slice(path.lastIndexOf('node_modules')).split(sep).join('/'));
}

/** The first line of the message of a thrown value, sanitized, with paths relative to `directory`. */
export function reasonText(thrown: unknown, directory: string): string {
  const [first = ''] = reasonOf(thrown).trim().split('\n', 1);
  const text = first.replaceAll(pathToFileURL(join(directory, sep)).href, '').replaceAll(join(directory, sep), '');
  return clean(
    text === '' ? 'an error without a message' : text + forgottenExtension(thrown) + (missingExportOf(thrown)?.hint ?? ''),
    MAX_REASON,
  );
}

/** Names the extension that bundlers add by themselves and Node does not: `; write its extension: _helper.ts`. */
function forgottenExtension(thrown: unknown): string {
  const { code, url } = thrown instanceof Error ? (thrown as NodeJS.ErrnoException & { readonly url?: unknown }) : {};
  if (code !== 'ERR_MODULE_NOT_FOUND' || typeof url !== 'string') return '';
  const path = pathOf(url);
  const extension = path === '' ? undefined : EXTENSIONS.find((known) => existsSync(`${path}.${known}`));
  return extension === undefined ? '' : `; write its extension: ${basename(path)}.${extension}`;
}

/** The place in the plugins directory where the code threw: ` (ham/spam.ts:12:5)`. Empty if there is none. */
export function whereThrown(thrown: unknown, directory: string): string {
  const problem = problemOf(thrown, directory, '');
  return problem.file === '' ? '' : ` (${clean(placeOf(problem))})`;
}

interface Position {
  file: string;
  line: number;
  column?: number;
}

/** Stack frames look like `at f (file:///dir/ham/spam.ts?v=1:3:7)`. The stack of a syntax error begins with `file:///dir/ham/spam.js:3`. */
function firstPlace(stack: string, directory: string): Position | undefined {
  for (const row of stack.split('\n')) {
    const [, path, line = '', column] =
      /(file:\/\/[^\s()]+?|\/[^\s()]+?|[A-Za-z]:\\[^()]+?)(?:\?[^\s:()]*)?:(\d+)(?::(\d+))?\)?$/.exec(row) ?? [];
    const file = path === undefined ? undefined : inside(directory, pathOf(path));
    if (file === undefined) continue;
    return { file, line: Number(line), ...(column === undefined ? {} : { column: Number(column) }) };
  }
  return undefined;
}

function pathOf(urlOrPath: string): string {
  try {
    return urlOrPath.startsWith('file:') ? fileURLToPath(urlOrPath) : urlOrPath;
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

/** A problem as an error. */
export class PluginFailure extends Error {
  constructor(readonly problem: PluginProblem) {
    super(problem.reason);
  }
}

/** The problem for a value that a module threw: the place in the plugin's own code, if there is one, and the reason. */
export function failureOf(thrown: unknown, place: ModuleLocation & { readonly module: string }): PluginProblem {
  if (thrown instanceof PluginFailure) return thrown.problem;
  // A refusal has the reason in its message, and the place in its cause.
  const isRefusal = RelayError.is(thrown) && thrown.cause !== undefined;
  const problem = problemAt(isRefusal ? thrown.cause : thrown, place);
  return { ...problem, module: place.module, reason: isRefusal ? reasonText(thrown, place.root) : problem.reason };
}

/** The lines of the source around the place of a problem. None if the place is not in a file of the plugin. */
export function frameRows({ file, line, column = 1, frame }: PluginProblem, { root, rootName }: ModuleLocation): readonly string[] {
  const text = frame ?? (line === undefined ? '' : readFrame(join(root, file.slice(rootName.length)), line, column));
  return text
    .split('\n')
    .filter((row) => row !== '')
    .map((row) => clean(row.replaceAll('\t', ' '), 200));
}

function readFrame(path: string, line: number, column: number): string {
  const lines = textOf(path).split(/\r\n|[\n\r\u2028\u2029]/);
  return line > lines.length ? '' : frameOf(lines, line, column);
}

/** The error for a plugin that does not run. */
export function refusal(name: string, reason: string, cause?: unknown, data: ErrorData = {}): RelayError {
  return new RelayError('PLUGIN_REFUSED', `plugin ${clean(name)}: ${reason}`, { cause, data });
}

/** The error for a version that is not replaced because its `handover` failed. */
export function notHandedOver(name: string, reason: string, cause: unknown): RelayError {
  return refusal(name, `handover of the running version failed: ${reason}; to drop its state, restart the plugin`, cause);
}

/** An import of a name that a module does not export. */
export interface MissingExport {
  /** Absolute. */
  readonly file: string;
  /** Counted from 1, in the source. Undefined if the statement is not found there. */
  readonly line: number | undefined;
  /** `; Kind is a type, so write: export type { Kind } from './_shapes.ts'`. Empty if it is not a type. */
  readonly hint: string;
}

// The messages of Node for an ES module and for a CommonJS module.
const MISSING = /^The requested module '([^']+)' does not provide an export named '([^']+)'/;
const MISSING_IN_COMMONJS = /^Named export '([^']+)' not found\. The requested module '([^']+)' is a CommonJS module/;

/** Finds the import of a type without the word `type`, which Node reports as a missing export. Undefined if `thrown` is another error. */
export function missingExportOf(thrown: unknown): MissingExport | undefined {
  if (!(thrown instanceof SyntaxError)) return undefined;
  const [, specifier, name] = MISSING.exec(thrown.message) ?? swapped(MISSING_IN_COMMONJS.exec(thrown.message)) ?? [];
  // The stack begins with the importing file. Its line counts in the output of the compiler.
  const [, file] = /^(.+?)(?:\?[^\s:]*)?:\d+$/.exec((thrown.stack ?? '').split('\n', 1)[0] ?? '') ?? [];
  if (specifier === undefined || name === undefined || file === undefined) return undefined;
  const path = file.startsWith('file:') ? fileURLToPath(file) : file;
  const source = textOf(path);
  const statement = statementIn(source, specifier, name);
  return { file: path, line: statement?.line, hint: hintFor(name, specifier, path, statement?.word) };
}

function swapped(match: RegExpExecArray | null): readonly (string | undefined)[] | undefined {
  return match === null ? undefined : [match[0], match[2], match[1]];
}

function hintFor(name: string, specifier: string, importer: string, word = 'import'): string {
  const remedy = `${word} type ${name === 'default' ? '...' : `{ ${name} }`} from '${specifier}'`;
  if (!/^\.{0,2}\//.test(specifier)) return `; if ${name} is a type, write: ${remedy}`;
  const target = textOf(fileURLToPath(new URL(specifier, `file://${importer}`))) || textOf(twinOf(specifier, importer));
  return declaresType(target, name) ? `; ${name} is a type, so write: ${remedy}` : '';
}

/** `x.ts` for an import of `x.js`. */
function twinOf(specifier: string, importer: string): string {
  return fileURLToPath(new URL(specifier.replace(/js$/, 'ts'), `file://${importer}`));
}

function declaresType(source: string, name: string): boolean {
  const escaped = escape(name);
  return (
    new RegExp(`^\\s*(?:export\\s+)?(?:default\\s+)?(?:declare\\s+)?(?:interface|type)\\s+${escaped}(?![\\w$])`, 'm').test(source) ||
    new RegExp(`\\btype\\s*\\{[^}]*\\b${escaped}\\b[^}]*\\}|\\btype\\s+${escaped}\\s*[,}]|\\btype\\s+(?:\\w+\\s+as\\s+)${escaped}\\b`).test(
      source,
    ) ||
    (name === 'default' && /^\s*export\s+default\s+interface\b/m.test(source))
  );
}

/** Finds the import or export of `name` from `specifier`. */
function statementIn(source: string, specifier: string, name: string): { readonly word: string; readonly line: number } | undefined {
  const statement = new RegExp(`^[ \\t]*(import|export)\\b(?!\\s+type\\b)[^;'"]*from\\s*['"]${escape(specifier)}['"]`, 'gm');
  const named = name === 'default' ? /^[ \t]*import\s+[\w$]|\bdefault\b/ : new RegExp(`(?<![\\w$])${escape(name)}(?![\\w$])`);
  for (const match of source.matchAll(statement)) {
    const at = named.exec(match[0]);
    if (at) return { word: match[1] ?? 'import', line: source.slice(0, match.index + at.index).split('\n').length };
  }
  return undefined;
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

/** The text of a file. Empty if it cannot be read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

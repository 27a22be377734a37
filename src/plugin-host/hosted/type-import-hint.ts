/** A type that is imported or re-exported without the word `type`, which Node reports as a missing export: where, and what to write. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface MissingExport {
  /** Absolute. */
  readonly file: string;
  /** From 1, in the source; undefined if the statement is not found there. */
  readonly line: number | undefined;
  /** `; Kind is a type, so write: export type { Kind } from './_shapes.ts'`; empty if it is none. */
  readonly hint: string;
}

// What Node says of an ES module, and of a CommonJS module.
const MISSING = /^The requested module '([^']+)' does not provide an export named '([^']+)'/;
const MISSING_IN_COMMONJS = /^Named export '([^']+)' not found\. The requested module '([^']+)' is a CommonJS module/;

/** Undefined if `thrown` is no such error. */
export function missingExportOf(thrown: unknown): MissingExport | undefined {
  if (!(thrown instanceof SyntaxError)) return undefined;
  const [, specifier, name] = MISSING.exec(thrown.message) ?? swapped(MISSING_IN_COMMONJS.exec(thrown.message)) ?? [];
  // The stack begins with the importing file; its line counts in what the compiler made of it.
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

/** The import or export of `name` from `specifier`. */
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

/** Empty if it cannot be read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Checks the interpreter in the first line of a script before a start, since the error of the system would name the script instead. */
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { basename, delimiter, isAbsolute, join } from 'node:path';
import { clean } from '../../core/core.ts';

// Linux reads this much of the first line.
const MAX_LINE_BYTES = 256;
// The search path of programs that have no PATH.
const DEFAULT_PATH = '/usr/bin:/bin';
const REMEDY = 'install it, or name another interpreter as exec and the script in args';

/** Throws an Error if `file` is a script whose interpreter is missing. `shown` names it in the error; `path` is the script's PATH. */
export function requireInterpreter(file: string, shown: string, path = DEFAULT_PATH): void {
  const line = firstLineOf(file);
  const [, interpreter, argument = ''] = /^#![ \t]*([^ \t]+)[ \t]*([^]*)$/.exec(line) ?? [];
  if (interpreter === undefined) return;
  if (line.endsWith('\r'))
    throw new Error(`the first line of ${shown} ends with CR LF, so the system looks for '${clean(line.slice(2))}'; save it with LF alone`);
  const missing = (name: string, where: string, more = ''): Error =>
    new Error(`the interpreter of ${shown} is missing: its first line names '${clean(name)}', ${where}; ${REMEDY}${more}`);
  if (!interpreter.includes('/'))
    throw missing(interpreter, 'which is no path (scripts that look for it on the PATH begin with #!/usr/bin/env)');
  // The system resolves a relative path against the working directory, which is not known here.
  if (isAbsolute(interpreter) && !canRun(interpreter)) throw missing(interpreter, whyNot(interpreter));
  if (basename(interpreter) !== 'env') return;
  const name = nameForEnv(argument);
  if (name === undefined) return;
  if (isAbsolute(name) && !canRun(name)) throw missing(name, whyNot(name));
  if (name.includes('/') || isOnPath(name, path)) return;
  const hint = /\s/.test(name) ? ' (with arguments: #!/usr/bin/env -S)' : '';
  throw missing(name, `which is not on the PATH of the program${hint}`, `; its PATH ${pathInWords(path)}`);
}

/** Formats a PATH for the end of a log line, truncated to 500 characters. */
export function pathInWords(path: string): string {
  return path === '' ? 'is empty' : `is ${clean(path, 500)}`;
}

/** The program that `env` is asked to run; undefined if the argument, which Linux passes as a single string, is not simple enough. */
function nameForEnv(argument: string): string | undefined {
  const [, split] = /^-S[ \t]*(.*)$/.exec(argument) ?? [];
  const name = split === undefined ? argument : split.split(/[ \t]+/)[0];
  return name === undefined || name === '' || /^-|["'\\$=]/.test(name) ? undefined : name.trimEnd();
}

function isOnPath(name: string, path: string): boolean {
  const folders = path.split(delimiter);
  // A relative folder depends on the working directory, so it gets the benefit of the doubt.
  return folders.some((folder) => !isAbsolute(folder) || canRun(join(folder, name)));
}

function canRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function whyNot(file: string): string {
  return statSync(file, { throwIfNoEntry: false }) ? 'which may not be executed by this user' : 'which is not there';
}

/** The `#!` line, or an empty string if the file has none or cannot be read (it may still be executable). */
function firstLineOf(file: string): string {
  try {
    const fd = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(MAX_LINE_BYTES);
      const text = bytes.toString('utf8', 0, readSync(fd, bytes, 0, MAX_LINE_BYTES, 0));
      return text.startsWith('#!') ? (text.split('\n', 1)[0] ?? '') : '';
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}

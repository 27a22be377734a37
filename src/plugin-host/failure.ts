/** Why a plugin does not run, or does not run anew, as the log tells it: place, reason, and the lines around the place. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { frameOf } from '../loader/loader.mjs';
import { RelayError, clean } from '../message/message.ts';
import { problemAt, reasonText } from './problem.ts';
import type { Place, PluginProblem } from './problem.ts';

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

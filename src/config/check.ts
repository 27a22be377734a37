/** Checks options, and explains what is wrong: the source, the key, what was found and what is expected. */
import type * as z from 'zod/mini';
import { RelayError, suggest } from '../core/core.ts';
import { showValue } from '../values/values.ts';
import type { Tree } from './paths.ts';

/** One source of options: a file, the environment, the command line. */
export interface ConfigSource {
  /** Raw, unchecked. */
  readonly values: unknown;
  /** Relative paths are resolved against this directory. */
  readonly baseDir: string;
  /** Name of an option in this source, for messages: `config.ts: port`, `--port`. */
  readonly nameOf: (key: string) => string;
  /** What cannot be read of it at all; {@link completeOptions} throws this with everything else that is wrong. Default none. */
  readonly problems?: readonly RelayError[];
}

/**
 * Everything in `values` that does not match `schema`, as RelayErrors CONFIG_INVALID. `source` is the last source that was merged into
 * them, and so the one that the errors name.
 */
export function problemsOf(schema: z.ZodMiniType, source: ConfigSource, values: Tree): readonly RelayError[] {
  const result = schema.safeParse(values, { reportInput: true });
  return result.success ? [] : result.error.issues.flatMap((issue) => problemsOfIssue(schema, source, issue));
}

/** Throws the first of several problems; all of them are the errors of its cause, an AggregateError. */
export function throwProblems(problems: readonly RelayError[]): void {
  const [first, ...more] = problems;
  if (!first) return;
  if (more.length === 0) throw first;
  throw new RelayError(first.code, first.message, { cause: new AggregateError(problems), data: first.data });
}

function problemsOfIssue(schema: z.ZodMiniType, source: ConfigSource, issue: z.core.$ZodIssue): readonly RelayError[] {
  if (issue.code === 'invalid_union') return [wrongChoice(schema, source, issue)];
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownOption(schema, source, path, [key]));
  return [wrongValue(source, path.join('.'), issue.input, issue)];
}

function unknownOption(schema: z.ZodMiniType, source: ConfigSource, path: readonly string[], [name = '']: readonly string[]): RelayError {
  const key = [...path, name].join('.');
  return new RelayError('CONFIG_INVALID', `${source.nameOf(key)}: there is no such option${suggest(key, keysAt(schema, path))}`, {
    data: { option: key },
  });
}

/** The error for a value that fits none of several forms. It explains the first form whose type is right, or else the first. */
function wrongChoice(schema: z.ZodMiniType, source: ConfigSource, issue: z.core.$ZodIssueInvalidUnion): RelayError {
  const firsts = issue.errors.map(([first]) => first).filter((first) => first !== undefined);
  const meant = firsts.find(({ code, path }) => code !== 'invalid_type' || path.length > 0) ?? firsts[0] ?? issue;
  if (meant.code === 'unrecognized_keys') return unknownOption(schema, source, [...issue.path, ...meant.path].map(String), meant.keys);
  const found = meant.path.reduce<unknown>((level, part) => (level as Record<PropertyKey, unknown>)[part], issue.input);
  const key = [...issue.path, ...meant.path].map(String).join('.');
  return wrongValue(source, key, found, meant);
}

function wrongValue(source: ConfigSource, key: string, found: unknown, issue: z.core.$ZodIssue): RelayError {
  const finding = found === undefined ? 'is missing' : `found ${showOption(found)}`;
  return new RelayError('CONFIG_INVALID', `${source.nameOf(key)}: ${finding}, expected ${expectation(issue)}`, { data: { option: key } });
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : `a value of type ${issue.expected}`;
    case 'invalid_value':
      return `one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'too_small':
      return issue.origin === 'string' ? 'a non-empty text' : `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}`;
    case 'invalid_key':
      return issue.issues[0]?.message ?? issue.message;
    default:
      return issue.message;
  }
}

/** Full names of the options at `path`. */
function keysAt(schema: z.ZodMiniType, path: readonly string[]): string[] {
  let level: unknown = schema;
  for (const part of path) level = below(level, part);
  return Object.keys(membersOf(level)).map((key) => [...path, key].join('.'));
}

/** The schema of a member of an object (optional or not), of an element of a list, or of a value of a record. */
function below(schema: unknown, key: string): unknown {
  const { valueType, element } = definitionOf(schema);
  return valueType ?? element ?? membersOf(schema)[key];
}

/** Of a union, the members of all its forms. */
function membersOf(schema: unknown): Readonly<Record<string, unknown>> {
  const { shape, options, innerType } = definitionOf(schema);
  if (options) return Object.assign({}, ...options.map(membersOf)) as Record<string, unknown>;
  return shape ?? (innerType === undefined ? {} : membersOf(innerType));
}

/** The parts of a schema, whatever its type. */
interface Definition {
  readonly valueType?: unknown;
  readonly element?: unknown;
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly options?: readonly unknown[];
  readonly innerType?: unknown;
}

function definitionOf(schema: unknown): Definition {
  return (schema as { readonly _zod: { readonly def: Definition } } | undefined)?._zod.def ?? {};
}

/** An invalid value, formatted for a message. */
export function showOption(value: unknown): string {
  // A URL may carry credentials, and the message may go to a log.
  return showValue(typeof value === 'string' ? value.replace(/\/\/[^/@\s]*@/g, '//…@') : value);
}

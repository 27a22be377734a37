/** The operator's configuration: composes each room's options and defaults, checks them, freezes them. */
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { httpDefaults, httpShape } from '../http/http.ts';
import type { HttpOptions } from '../http/http.ts';
import { linkDefaults, linkShape } from '../links/links.ts';
import type { LinkOptions } from '../links/links.ts';
import { meshDefaults, meshShape } from '../mesh/mesh.ts';
import type { MeshOptions } from '../mesh/mesh.ts';
import { RelayError, clean, suggest } from '../message/message.ts';
import { pluginHostDefaults, pluginHostShape, relayPluginDefaults, relayPluginShape } from '../plugin-host/plugin-host.ts';
import type { PluginHostOptions, RelayPluginOptions } from '../plugin-host/plugin-host.ts';
import { relayDefaults, relayShape } from '../relay/relay.ts';
import type { RelayOptions } from '../relay/relay.ts';
import { satelliteDefaults, satelliteShape } from '../satellites/satellites.ts';
import type { SatelliteOptions } from '../satellites/satellites.ts';
import { storeDefaults, storeShape } from '../store/store.ts';
import type { StoreOptions } from '../store/store.ts';
import { logDefaults, logShape } from './log-options.ts';
import type { LogOptions } from './log-options.ts';
import { absoluteUses } from './relay-plugin-files.ts';

export type { LogLevel, LogOptions } from './log-options.ts';

/** All options, complete. */
export type Options = HttpOptions &
  StoreOptions &
  PluginHostOptions &
  RelayPluginOptions &
  LinkOptions &
  MeshOptions &
  SatelliteOptions &
  RelayOptions &
  LogOptions;

/** What an operator writes: any part of {@link Options}; what is left out or undefined has its default. */
export type Config = DeepPartial<Options>;

type DeepPartial<T> = T extends readonly unknown[] | string | number | boolean
  ? T
  : { readonly [Key in keyof T]?: DeepPartial<T[Key]> | undefined };

/** Types the configuration of a relay: `export default defineConfig({ port: 2004 })`. It is checked when the relay starts. */
export function defineConfig(config: Config): Config {
  return config;
}

/** One place where options stand: a file, the command line. */
export interface ConfigSource {
  /** Raw, unchecked. */
  readonly values: unknown;
  /** Directory that relative paths in it start from. */
  readonly baseDir: string;
  /** How an option is called there, for messages: `config.ts: port`, `--port`. */
  readonly nameOf: (key: string) => string;
}

const DEFAULTS: Options = {
  ...httpDefaults,
  ...storeDefaults,
  ...pluginHostDefaults,
  ...relayPluginDefaults,
  ...linkDefaults,
  ...meshDefaults,
  ...satelliteDefaults,
  ...relayDefaults,
  ...logDefaults,
};

const SCHEMA = z.strictObject({
  ...httpShape,
  ...storeShape,
  ...pluginHostShape,
  ...relayPluginShape,
  ...linkShape,
  ...meshShape,
  ...satelliteShape,
  ...relayShape,
  ...logShape,
});

// The paths among the options; made absolute, each from where it was written.
const PATHS: readonly (readonly string[])[] = [
  ['dataDir'],
  ['pluginsDir'],
  ['projectDir'],
  ['unixSocket'],
  ['log', 'file'],
  ['log', 'accessFile'],
  ['tls', 'certFile'],
  ['tls', 'keyFile'],
  ['tls', 'caFile'],
  ['access', 'tokens', '*', 'file'],
  ['programs', '*', 'cwd'],
  ['programs', '*', 'exec'],
];

/** Complete options, and which of them somebody set. */
export interface Completed {
  readonly options: Options;
  /** True if a source sets the option of this name; false if it has its default. */
  readonly isSet: (key: keyof Options) => boolean;
  /** Where the option of this name was set last, in words: `config.ts: port`, `--port`; its bare name if nobody set it. */
  readonly placeOf: (key: string) => string;
}

/**
 * Complete, checked and frozen options from `sources`, of which later ones win. Throws a RelayError CONFIG_INVALID that names the place, the key, what was
 * found and what is expected, and for an unknown key the nearest known one.
 */
export function completeOptions(sources: readonly ConfigSource[], defaultsBaseDir: string): Completed {
  let merged = absolutePaths(DEFAULTS as unknown as Tree, defaultsBaseDir);
  for (const source of sources) {
    const values = source.values;
    if (!isTree(values))
      throw new RelayError('CONFIG_INVALID', `${source.nameOf('')}: found ${shown(values)}, expected an object of options`);
    check(source, merge(merged, values));
    merged = merge(merged, absolutePaths(values, source.baseDir));
  }
  const options = deepFreeze(SCHEMA.parse(merged)) as unknown as Options;
  const settersOf = (key: string): readonly ConfigSource[] => sources.filter(({ values }) => (values as Tree)[key] !== undefined);
  return {
    options,
    isSet: (key) => settersOf(key).length > 0,
    placeOf: (key) => settersOf(key).at(-1)?.nameOf(key) ?? key,
  };
}

/** How the text of an environment variable becomes the value of an option. */
export type OptionKind = 'text' | 'number' | 'boolean' | 'switch' | 'list' | 'json';

/** All options by their full names (`outbox.maxMessages`), and of what kind each is. */
export function optionKinds(): ReadonlyMap<string, OptionKind> {
  const kinds = new Map<string, OptionKind>();
  for (const [key, schema] of Object.entries<z.core.$ZodType>(SCHEMA.shape)) {
    const inner = bare(schema);
    if (inner instanceof z.ZodObject) {
      for (const [name, below] of Object.entries<z.core.$ZodType>(inner.shape)) kinds.set(`${key}.${name}`, kindOf(below));
    } else kinds.set(key, kindOf(inner));
  }
  return kinds;
}

/** The options, by their full names, that have other values in `after` than in `before`. */
export function changedOptions(before: Options, after: Options): string[] {
  const at = (options: Options, key: string): unknown =>
    key.split('.').reduce<unknown>((level, part) => (level as Tree | undefined)?.[part], options);
  return [...optionKinds().keys()].filter((key) => !isDeepStrictEqual(at(before, key), at(after, key)));
}

/** `base` with the options of these full names from `wanted`. */
export function takeOptions(base: Options, wanted: Options, keys: Iterable<string>): Options {
  const result: Record<string, unknown> = { ...base };
  for (const key of keys) {
    const [group = '', member] = key.split('.');
    const from = (wanted as unknown as Tree)[group];
    result[group] = member === undefined ? from : Object.freeze({ ...(result[group] as Tree), [member]: (from as Tree)[member] });
  }
  return Object.freeze(result) as unknown as Options;
}

function kindOf(schema: z.core.$ZodType): OptionKind {
  const inner = bare(schema);
  // By the name of the type: a URL or an enum is a text too, but no ZodString.
  switch (inner._zod.def.type) {
    case 'string':
    case 'enum':
      return 'text';
    case 'literal':
      // Yes, no, or a word for how.
      return inner instanceof z.ZodLiteral && inner.values.has(true) ? 'switch' : 'text';
    case 'number':
    case 'boolean':
      return inner._zod.def.type;
    case 'array':
      return inner instanceof z.ZodArray && isTextual(inner.element) ? 'list' : 'json';
    case 'union':
      // One, or a list of them.
      return inner instanceof z.ZodUnion && inner.options.some((option) => kindOf(option) === 'list') ? 'list' : 'json';
    default:
      return 'json';
  }
}

/** True if a text can be of this type, whatever else can. */
function isTextual(schema: z.core.$ZodType): boolean {
  return schema instanceof z.ZodUnion ? schema.options.some((option) => kindOf(option) === 'text') : kindOf(schema) === 'text';
}

function bare(schema: z.core.$ZodType): z.core.$ZodType {
  const isWrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodReadonly;
  return isWrapped ? bare(schema.unwrap()) : schema;
}

type Tree = Readonly<Record<string, unknown>>;

function check(source: ConfigSource, values: Tree): void {
  const result = SCHEMA.safeParse(values, { reportInput: true });
  const [issue] = result.success ? [] : result.error.issues;
  if (!issue) return;
  if (issue.code === 'invalid_union') throw wrongChoice(source, issue);
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') throw unknownOption(source, path, issue.keys);
  throw wrongValue(source, path.join('.'), issue.input, issue);
}

function unknownOption(source: ConfigSource, path: readonly string[], [name = '']: readonly string[]): RelayError {
  const key = [...path, name].join('.');
  return new RelayError('CONFIG_INVALID', `${source.nameOf(key)}: there is no such option${suggest(key, keysAt(path))}`);
}

/** None of several forms fits: the one that was meant is the first whose kind is right, else the first. */
function wrongChoice(source: ConfigSource, issue: z.core.$ZodIssueInvalidUnion): RelayError {
  const firsts = issue.errors.map(([first]) => first).filter((first) => first !== undefined);
  const meant = firsts.find(({ code, path }) => code !== 'invalid_type' || path.length > 0) ?? firsts[0] ?? issue;
  if (meant.code === 'unrecognized_keys') return unknownOption(source, [...issue.path, ...meant.path].map(String), meant.keys);
  const found = meant.path.reduce<unknown>((level, part) => (level as Record<PropertyKey, unknown>)[part], issue.input);
  const key = [...issue.path, ...meant.path].map(String).join('.');
  return wrongValue(source, key, found, meant);
}

function wrongValue(source: ConfigSource, key: string, found: unknown, issue: z.core.$ZodIssue): RelayError {
  const finding = found === undefined ? 'is missing' : `found ${shown(found)}`;
  return new RelayError('CONFIG_INVALID', `${source.nameOf(key)}: ${finding}, expected ${expectation(issue)}`);
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : `a value of type ${issue.expected}`;
    case 'invalid_value':
      return `one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'too_small':
      return issue.origin === 'string' ? 'a text that is not empty' : `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}`;
    case 'invalid_key':
      return issue.issues[0]?.message ?? issue.message;
    default:
      return issue.message;
  }
}

/** The options at `path`, by their full names. */
function keysAt(path: readonly string[]): string[] {
  let level: unknown = SCHEMA;
  for (const part of path) level = below(level, part);
  return Object.keys(membersOf(level)).map((key) => [...path, key].join('.'));
}

/** The schema of a member, of an optional group too, of an element of a list, and of whatever has names that the operator chooses. */
function below(schema: unknown, key: string): unknown {
  const { valueType, element } = (schema ?? {}) as { valueType?: unknown; element?: unknown };
  return valueType ?? element ?? membersOf(schema)[key];
}

/** Of several forms those of all. */
function membersOf(schema: unknown): Readonly<Record<string, unknown>> {
  const { shape, options, unwrap } = (schema ?? {}) as { shape?: Record<string, unknown>; options?: unknown; unwrap?: () => unknown };
  if (Array.isArray(options)) return Object.assign({}, ...options.map(membersOf)) as Record<string, unknown>;
  return shape ?? (unwrap ? membersOf(unwrap.call(schema)) : {});
}

function shown(value: unknown): string {
  // A URL may carry credentials, and what is wrong may go to a log.
  if (typeof value === 'string') return `'${clean(value.replace(/\/\/[^/@\s]*@/g, '//…@'), 80)}'`;
  if (value === undefined || value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
}

/** `over` upon `under`, objects member by member; an undefined in `over` changes nothing. Two levels, as deep as our options are. */
function merge(under: Tree, over: Tree): Tree {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const below = under[key];
    merged[key] = key !== 'plugins' && isTree(value) && isTree(below) ? { ...below, ...defined(value) } : value;
  }
  return merged;
}

function defined(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([, value]) => value !== undefined));
}

function absolutePaths(values: Tree, baseDir: string): Tree {
  const absolute = PATHS.reduce((tree, path) => absolutePath(tree, path, baseDir), values);
  return 'relayPlugins' in absolute ? { ...absolute, relayPlugins: absoluteUses(absolute.relayPlugins, baseDir) } : absolute;
}

/** `tree` with what stands at `path` made absolute; `*` is every key, or every element of a list. */
function absolutePath(tree: Tree, [first = '', ...rest]: readonly string[], baseDir: string): Tree {
  const result: Record<string, unknown> = { ...tree };
  for (const key of first === '*' ? Object.keys(tree) : [first]) {
    const value = tree[key];
    if (rest.length > 0 && isTree(value)) result[key] = absolutePath(value, rest, baseDir);
    else if (rest.length > 0 && Array.isArray(value))
      result[key] = Object.values(absolutePath(Object.fromEntries(Object.entries(value)), rest, baseDir));
    else if (rest.length === 0 && typeof value === 'string' && isPath(key, value)) result[key] = resolve(baseDir, value);
  }
  return result;
}

/** The bare name of a program is looked for on the PATH. */
function isPath(key: string, value: string): boolean {
  return value !== '' && (key !== 'exec' || value.includes('/'));
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Freezes our own tree of options; a plugin's configuration, below `plugins` or as `config` of a relay plugin, is the plugin's and stays as it is. */
function deepFreeze(options: Tree): Tree {
  for (const [key, value] of Object.entries(options)) {
    // A list is a tree of its elements.
    if (key !== 'plugins' && key !== 'config' && typeof value === 'object' && value !== null) deepFreeze(value as Tree);
  }
  return Object.freeze(options);
}

/** The operator's configuration: composes the options and defaults of each directory, checks them and freezes them. */
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod/mini';
// Not `z.core`, with which all languages would be part of the bundle.
import { $ZodArray, $ZodLiteral, $ZodObject, $ZodOptional, $ZodReadonly, $ZodUnion } from 'zod/v4/core';
import type { $ZodType } from 'zod/v4/core';
import { httpDefaults, httpShape } from '../http/http.ts';
import { identityDefaults, identityShape } from '../identity/identity.ts';
import { linkDefaults, linkShape } from '../links/links.ts';
import { meshDefaults, meshShape } from '../mesh/mesh.ts';
import { RelayError } from '../core/core.ts';
import { pluginHostDefaults, pluginHostShape, relayPluginDefaults, relayPluginShape } from '../plugin-host/plugin-host.ts';
import { recordingDefaults, recordingShape } from '../recordings/recordings.ts';
import { relayDefaults, relayShape } from '../relay/relay.ts';
import { satelliteDefaults, satelliteShape } from '../satellites/satellites.ts';
import { serviceDefaults, serviceShape } from '../services/services.ts';
import { stateDefaults, stateShape } from '../state/state.ts';
import { storeDefaults, storeShape } from '../store/store.ts';
import { workDefaults, workShape } from '../work/work.ts';
import { problemsOf, showOption, throwProblems } from './check.ts';
import type { ConfigSource } from './check.ts';
import { logDefaults, logShape } from './log-options.ts';
import { absolutePaths, isTree } from './paths.ts';
import type { Tree } from './paths.ts';
import type { Options } from './define-config.ts';

export { defineConfig } from './define-config.ts';
export type { Config, Options } from './define-config.ts';
export { throwProblems } from './check.ts';
export type { ConfigSource } from './check.ts';
export type { LogLevel, LogOptions } from './log-options.ts';

/** The default of every option. */
export const DEFAULTS: Options = {
  ...httpDefaults,
  ...stateDefaults,
  ...pluginHostDefaults,
  ...relayPluginDefaults,
  ...linkDefaults,
  ...identityDefaults,
  ...meshDefaults,
  ...satelliteDefaults,
  ...relayDefaults,
  ...storeDefaults,
  ...workDefaults,
  ...recordingDefaults,
  ...serviceDefaults,
  ...logDefaults,
};

/** The schema of complete options. */
export const SCHEMA = z.strictObject({
  ...httpShape,
  ...stateShape,
  ...pluginHostShape,
  ...relayPluginShape,
  ...linkShape,
  ...identityShape,
  ...meshShape,
  ...satelliteShape,
  ...relayShape,
  ...storeShape,
  ...workShape,
  ...recordingShape,
  ...serviceShape,
  ...logShape,
});

/** Complete options, and where each was set. */
export interface Completed {
  readonly options: Options;
  /** True if a source sets this option; false if it has its default. */
  readonly isSet: (key: keyof Options) => boolean;
  /** Describes where this option was last set: `config.ts: port`, `--port`; its bare name if it has its default. */
  readonly placeOf: (key: string) => string;
}

/**
 * Merges `sources`, of which later ones win, into complete, checked and frozen options. Throws a RelayError CONFIG_INVALID that names the
 * source, the key, what was found and what is expected, and for an unknown key the nearest known one.
 */
export function completeOptions(sources: readonly ConfigSource[], defaultsBaseDir: string): Completed {
  const problems: RelayError[] = [];
  let merged = absolutePaths(DEFAULTS as unknown as Tree, defaultsBaseDir);
  for (const source of sources) {
    const values = source.values;
    problems.push(...(source.problems ?? []));
    if (!isTree(values))
      throw new RelayError('CONFIG_INVALID', `${source.nameOf('')}: found ${showOption(values)}, expected an object of options`);
    const found = problemsOf(SCHEMA, source, merge(merged, values));
    problems.push(...found);
    // A wrong value would be reported again, of each later source.
    if (found.length === 0) merged = merge(merged, absolutePaths(values, source.baseDir));
  }
  throwProblems(problems);
  const options = deepFreeze(SCHEMA.parse(merged)) as unknown as Options;
  const settersOf = (key: string): readonly ConfigSource[] => sources.filter(({ values }) => (values as Tree)[key] !== undefined);
  return {
    options,
    isSet: (key) => settersOf(key).length > 0,
    placeOf: (key) => settersOf(key).at(-1)?.nameOf(key) ?? key,
  };
}

/** The kind of each option by its full name (`outbox.maxMessages`). */
export function optionKinds(): ReadonlyMap<string, OptionKind> {
  const kinds = new Map<string, OptionKind>();
  for (const [key, schema] of Object.entries<$ZodType>(SCHEMA.shape)) {
    const inner = bare(schema);
    if (inner instanceof $ZodObject) {
      for (const [name, below] of Object.entries<$ZodType>(inner._zod.def.shape)) kinds.set(`${key}.${name}`, kindOf(below));
    } else kinds.set(key, kindOf(inner));
  }
  return kinds;
}

/** Full names of the options whose values differ. */
export function changedOptions(before: Options, after: Options): string[] {
  const at = (options: Options, key: string): unknown =>
    key.split('.').reduce<unknown>((level, part) => (level as Tree | undefined)?.[part], options);
  return [...optionKinds().keys()].filter((key) => !isDeepStrictEqual(at(before, key), at(after, key)));
}

/** `base`, with the options of these full names taken from `wanted`. */
export function takeOptions(base: Options, wanted: Options, keys: Iterable<string>): Options {
  const result: Record<string, unknown> = { ...base };
  for (const key of keys) {
    const [group = '', member] = key.split('.');
    const from = (wanted as unknown as Tree)[group];
    result[group] = member === undefined ? from : Object.freeze({ ...(result[group] as Tree), [member]: (from as Tree)[member] });
  }
  return Object.freeze(result) as unknown as Options;
}

/** Merges `over` onto `under`, objects member by member; an undefined changes nothing. Options are two levels deep, and so is the merge. */
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

/**
 * Freezes the options. The configuration of a plugin, below `plugins` or as `config` of a relay plugin, belongs to the plugin and is not
 * frozen.
 */
function deepFreeze(options: Tree): Tree {
  for (const [key, value] of Object.entries(options)) {
    // Lists too, element by element.
    if (key !== 'plugins' && key !== 'config' && typeof value === 'object' && value !== null) deepFreeze(value as Tree);
  }
  return Object.freeze(options);
}

/** How the text of an environment variable is converted to the value of an option. */
export type OptionKind = 'text' | 'number' | 'boolean' | 'switch' | 'list' | 'json';

function kindOf(schema: $ZodType): OptionKind {
  const inner = bare(schema);
  // Decided by the name of the type: URLs and enums are texts too, but not instances of ZodString.
  switch (inner._zod.def.type) {
    case 'string':
    case 'enum':
      return 'text';
    case 'literal':
      // A boolean, or a word that selects a mode.
      return inner instanceof $ZodLiteral && inner._zod.def.values.includes(true) ? 'switch' : 'text';
    case 'number':
    case 'boolean':
      return inner._zod.def.type;
    case 'array':
      return inner instanceof $ZodArray && isTextual(inner._zod.def.element) ? 'list' : 'json';
    case 'union':
      // One item, or a list of them.
      return inner instanceof $ZodUnion && inner._zod.def.options.some((option) => kindOf(option) === 'list') ? 'list' : 'json';
    default:
      return 'json';
  }
}

/** True if a text is one of the accepted types. */
function isTextual(schema: $ZodType): boolean {
  return schema instanceof $ZodUnion ? schema._zod.def.options.some((option) => kindOf(option) === 'text') : kindOf(schema) === 'text';
}

function bare(schema: $ZodType): $ZodType {
  const isWrapped = schema instanceof $ZodOptional || schema instanceof $ZodReadonly;
  return isWrapped ? bare(schema._zod.def.innerType) : schema;
}

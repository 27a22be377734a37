/** The operator's configuration: composes each room's options and defaults, checks them, freezes them. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { httpDefaults, httpShape } from '../http/http.ts';
import { linkDefaults, linkShape } from '../links/links.ts';
import { meshDefaults, meshShape } from '../mesh/mesh.ts';
import { RelayError } from '../core/core.ts';
import { pluginHostDefaults, pluginHostShape, relayPluginDefaults, relayPluginShape } from '../plugin-host/plugin-host.ts';
import { relayDefaults, relayShape } from '../relay/relay.ts';
import { satelliteDefaults, satelliteShape } from '../satellites/satellites.ts';
import { stateDefaults, stateShape } from '../state/state.ts';
import { check, shown } from './check.ts';
import type { ConfigSource } from './check.ts';
import { logDefaults, logShape } from './log-options.ts';
import { kindsOf } from './option-kinds.ts';
import type { OptionKind } from './option-kinds.ts';
import { absolutePaths } from './paths.ts';
import { isTree } from './tree.ts';
import type { Tree } from './tree.ts';
import type { Options } from './define-config.ts';

export { defineConfig } from './define-config.ts';
export type { Config, Options } from './define-config.ts';
export type { ConfigSource } from './check.ts';
export type { OptionKind } from './option-kinds.ts';
export type { LogLevel, LogOptions } from './log-options.ts';

/** What an option has if nobody sets it. */
export const DEFAULTS: Options = {
  ...httpDefaults,
  ...stateDefaults,
  ...pluginHostDefaults,
  ...relayPluginDefaults,
  ...linkDefaults,
  ...meshDefaults,
  ...satelliteDefaults,
  ...relayDefaults,
  ...logDefaults,
};

/** The schema of complete options. */
export const SCHEMA = z.strictObject({
  ...httpShape,
  ...stateShape,
  ...pluginHostShape,
  ...relayPluginShape,
  ...linkShape,
  ...meshShape,
  ...satelliteShape,
  ...relayShape,
  ...logShape,
});

/** Complete options, and which of them somebody set. */
export interface Completed {
  readonly options: Options;
  /** True if a payload sets the option of this name; false if it has its default. */
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
    check(SCHEMA, source, merge(merged, values));
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

/** All options by their full names (`outbox.maxMessages`), and of what kind each is. */
export function optionKinds(): ReadonlyMap<string, OptionKind> {
  return kindsOf(SCHEMA.shape);
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

/** Freezes our own tree of options; a plugin's configuration, below `plugins` or as `config` of a relay plugin, is the plugin's and stays as it is. */
function deepFreeze(options: Tree): Tree {
  for (const [key, value] of Object.entries(options)) {
    // A list is a tree of its elements.
    if (key !== 'plugins' && key !== 'config' && typeof value === 'object' && value !== null) deepFreeze(value as Tree);
  }
  return Object.freeze(options);
}

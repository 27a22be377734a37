/** A plugin's configuration, held against the class's schema; and the error of a plugin that refuses to start. */
import { RelayError, clean } from '../message/message.ts';
import { issueText, pathOf, showValue, valueAt } from './issues.ts';
import type { SatelliteClass } from './load.ts';

/** A configuration and where it stands, in words for the operator. */
export interface RawConfig {
  readonly value: unknown;
  readonly source: string;
}

/** The configuration as `setup` gets it. Throws a RelayError PLUGIN_REFUSED that names plugin, key, what was found and what was expected. */
export async function checkConfig({ name, options }: SatelliteClass, { value, source }: RawConfig): Promise<unknown> {
  if (!options.config) return value;
  const result = await options.config['~standard'].validate(value);
  if (!result.issues) return result.value;
  const reasons = result.issues.slice(0, 5).map((issue) => {
    const path = pathOf(issue);
    const where = path.length === 0 ? 'the configuration' : `key "${path.join('.')}"`;
    return `${issueText(issue, () => where)}, found ${showValue(valueAt(value, path), path)}`;
  });
  throw refusal(name, `${reasons.join('; ')} (${source})`);
}

/** The error that stops a start. */
export function refusal(name: string, reason: string, cause?: unknown): RelayError {
  return new RelayError('PLUGIN_REFUSED', `plugin ${clean(name)}: ${reason}`, { cause });
}

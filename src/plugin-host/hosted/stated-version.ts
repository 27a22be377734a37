/**
 * What a plugin says of its version, and of the relay's versions that it works with: the same for a class, a package and a program. Pure.
 */
import satisfies from 'semver/functions/satisfies.js';
import valid from 'semver/functions/valid.js';
import validRange from 'semver/ranges/valid.js';
import { clean } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';

export interface StatedVersion {
  readonly version?: string | undefined;
  /** Range of the relay's versions. */
  readonly requires?: string | undefined;
}

/** Why a plugin that says this does not work with this relay; undefined if it does. */
export function whyUnfit({ version, requires }: StatedVersion, relayVersion: string): string | undefined {
  if (requires === undefined || requires === '') return undefined;
  const own = version === undefined ? 'it' : `its version ${version}`;
  if (validRange(requires) === null) return `${own} requires the relay '${clean(requires)}', which is no range of versions such as ^1.2.0`;
  if (satisfies(relayVersion, requires, { includePrerelease: true })) return undefined;
  return `${own} requires a relay ${clean(requires)}, and this one is ${relayVersion}`;
}

/** What a package.json says: its `version`, and `requires` in its field `co2`. What cannot be meant is reported. */
export function statedIn(manifest: unknown, report: (reason: string) => void): StatedVersion {
  const { version, co2 } = isDict(manifest) ? manifest : {};
  const { requires } = isDict(co2) ? co2 : {};
  const known = typeof version === 'string' && valid(version) !== null ? version : undefined;
  if (version !== undefined && known === undefined) report(`version: found ${shown(version)}, expected a version such as "1.2.0"`);
  if (requires !== undefined && typeof requires !== 'string')
    report(`co2.requires: found ${shown(requires)}, expected a range of versions of the relay such as "^0.1.0"`);
  return { version: known, requires: typeof requires === 'string' ? requires : undefined };
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `"${clean(value, 60)}"` : `a value of type ${typeof value}`;
}

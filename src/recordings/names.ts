/** Finds a datasource or a controller by its name, or by that of a plugin that offers only one. */
import { RelayError, clean, suggest } from '../core/core.ts';

/** Throws a RelayError INVALID_PARAMS that lists or suggests names. */
export function offered<Offered>(what: 'datasource' | 'controller', name: string, all: ReadonlyMap<string, Offered>): Offered {
  const exact = all.get(name);
  if (exact) return exact;
  const own = [...all.keys()].filter((one) => one.startsWith(`${name}:`));
  const only = own.length === 1 ? all.get(own[0] ?? '') : undefined;
  if (only) return only;
  if (own.length > 1)
    throw new RelayError('INVALID_PARAMS', `${clean(name, 100)} has several ${what}s; name one: ${own.slice(0, 20).join(', ')}`);
  throw new RelayError(
    'INVALID_PARAMS',
    `there is no ${what} '${clean(name, 100)}'${suggest(name, name.includes(':') ? [...all.keys()] : [...new Set([...all.keys()].map((one) => one.split(':', 1)[0] ?? ''))])}`,
  );
}

/** Finds what plugins offer by its name: `ham.spam:render`, or `ham.spam` if that plugin offers only one of the kind. Pure. */
import { RelayError, clean, suggest } from '../../core/core.ts';

/** What plugins offer, in the singular and the plural. */
const KINDS = {
  work: 'types of work',
  datasource: 'datasources',
  controller: 'controllers',
  watcher: 'watchers',
  reactor: 'reactors',
} as const;

/** Why there is nothing of this name. `isCertain`: no plugin that is down can have it. */
export interface NotOffered {
  readonly reason: string;
  readonly isCertain: boolean;
}

/** Finds one of `all`, which are of the same kind, by its name. */
export function findOffer<Offer>(
  kind: keyof typeof KINDS,
  name: string,
  all: ReadonlyMap<string, Offer>,
): { readonly offer: Offer } | NotOffered {
  const types = all.has(name) ? [name] : [...all.keys()].filter((type) => isNameOf(name, type));
  const [type, ...others] = types;
  const offer = type === undefined ? undefined : all.get(type);
  if (offer !== undefined && others.length === 0) return { offer };
  const shown = clean(name, 100);
  if (types.length > 0)
    return { reason: `${shown} has several ${KINDS[kind]}; name one of them: ${types.slice(0, 20).join(', ')}`, isCertain: true };
  const known = name.includes(':') ? [...all.keys()] : [...new Set([...all.keys()].map(moduleOf))];
  return { reason: `there is no ${kind} '${shown}'${suggest(name, known)}`, isCertain: false };
}

/** As {@link findOffer}. Throws a RelayError INVALID_PARAMS with the reason. */
export function requireOffer<Offer>(kind: keyof typeof KINDS, name: string, all: ReadonlyMap<string, Offer>): Offer {
  const found = findOffer(kind, name, all);
  if ('offer' in found) return found.offer;
  throw new RelayError('INVALID_PARAMS', found.reason);
}

/** True if a type may be called so: `ham.spam:render`, or `ham.spam`. */
export function isNameOf(name: string, type: string): boolean {
  return type === name || type.startsWith(`${name}:`);
}

/** `ham.spam:nodes` -> `ham.spam` */
export function moduleOf(type: string): string {
  return type.split(':', 1)[0] ?? type;
}

/** Finds the watcher or reactor that a service names. Pure. */
import { findOffer, isNameOf } from '../plugin-host/plugin-host.ts';
import type { HostedEndpointType, NotOffered } from '../plugin-host/plugin-host.ts';

/**
 * Finds the type by its full name, `ham.spam:nodes`, or by its plugin alone, `ham.spam`, if that has one of this role. Otherwise returns
 * why there is none.
 */
export function findType(
  offered: readonly HostedEndpointType[],
  role: HostedEndpointType['role'],
  type: string,
): HostedEndpointType | NotOffered {
  const found = findOffer(role, type, new Map(offered.filter((one) => one.role === role).map((one) => [one.type, one])));
  if ('offer' in found) return found.offer;
  const other = found.isCertain ? undefined : offered.find((one) => isNameOf(type, one.type));
  return other ? { reason: `${type} is a ${other.role}, not a ${role}`, isCertain: true } : found;
}

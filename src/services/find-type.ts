/** Finds the watcher or reactor that a service names. Pure. */
import { clean, suggest } from '../core/core.ts';
import type { HostedEndpointType } from '../plugin-host/plugin-host.ts';

/** Why there is no such type. `isCertain`: no plugin that is down can have it. */
export interface NotFound {
  readonly reason: string;
  readonly isCertain: boolean;
}

/**
 * Finds the type by its full name, `ham.spam:nodes`, or by its module alone, `ham.spam`, if that has one of this role. Otherwise returns
 * why there is none.
 */
export function findType(
  offered: readonly HostedEndpointType[],
  role: HostedEndpointType['role'],
  type: string,
): HostedEndpointType | NotFound {
  const ofRole = offered.filter((one) => one.role === role);
  const matching = type.includes(':') ? ofRole.filter((one) => one.type === type) : ofRole.filter((one) => moduleOf(one.type) === type);
  const [found, another] = matching;
  if (found && !another) return found;
  if (another)
    return { reason: `${type} has several ${role}s, name one of them: ${matching.map((one) => one.type).join(', ')}`, isCertain: true };
  const other = offered.find((one) => one.type === type || moduleOf(one.type) === type);
  if (other) return { reason: `${type} is a ${other.role}, not a ${role}`, isCertain: true };
  const known = ofRole.map((one) => (type.includes(':') ? one.type : moduleOf(one.type)));
  return { reason: `there is no ${role} '${clean(type, 100)}'${suggest(type, known)}`, isCertain: false };
}

/** `ham.spam:nodes` -> `ham.spam` */
export function moduleOf(type: string): string {
  return type.split(':', 1)[0] ?? type;
}

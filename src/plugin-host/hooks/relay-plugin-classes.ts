/** Which classes of a module are relay plugins, and whether they are what they say. */
import { clean } from '../../core/core.ts';
import type { RelayHooks, RelayPluginOptions } from '../../plugin/for-host.ts';

const SCHEME = /^[a-z][a-z0-9+.-]{0,30}$/;

/** Throws an Error if the class cannot be used as it is; a misspelt hook would never be called, and nobody would notice. */
export function checkShape(name: string, { order = 0, carries }: RelayPluginOptions, instance: RelayHooks<unknown>): void {
  const { onAccept, onForward, createCarrier } = instance as Readonly<Record<string, unknown>>;
  for (const [method, value] of Object.entries({ onAccept, onForward, createCarrier })) {
    if (value !== undefined && typeof value !== 'function') throw new Error(`${name}.${method} is not a method`);
  }
  if ((onAccept ?? onForward ?? createCarrier) === undefined) throw new Error(`${name} has neither onAccept, onForward nor createCarrier`);
  if (!Number.isFinite(order)) throw new Error(`the order of ${name} is not a number`);
  if ((carries === undefined) !== (createCarrier === undefined))
    throw new Error(`${name} needs both @RelayPlugin({ carries: 'scheme' }) and createCarrier(), or neither`);
  if (carries !== undefined && (!SCHEME.test(carries) || /^https?$/.test(carries)))
    throw new Error(`${name} carries '${clean(carries, 40)}': that is no scheme of URLs, or HTTP, which the relay carries itself`);
}

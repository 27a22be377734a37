/** What the receivers of JSON do with a dict. */
import type { HopDict } from './hop.ts';

/** Reads a dict; throws if it is not one. */
export function checkDict(bytes: Buffer): void {
  const dict = JSON.parse(bytes.toString()) as Partial<HopDict>;
  if (dict.data === undefined) throw new Error('a dict without data');
}

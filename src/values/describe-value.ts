/** What kind of value something is, in words for an error message. */
import { clean } from '../core/core.ts';
import { isDict } from './value.ts';

/** `an int`, `an array`, `an instance of Date`: the kind of a value, never its content. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid date' : 'a date';
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value === 'number') return describeNumber(value);
  if (typeof value === 'object') return isDict(value) || value instanceof Map ? 'an object' : describeInstance(value);
  return `a ${typeof value}`;
}

/** A short value as it is, such as `'1.x'` or `5`; anything else by its kind. */
export function showValue(value: unknown): string {
  if (typeof value === 'string') return `'${clean(value, 80)}'`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : describeValue(value);
}

function describeNumber(value: number): string {
  if (!Number.isInteger(value)) return Number.isFinite(value) ? 'a double' : 'not a finite number';
  return (value | 0) === value ? 'an int' : 'an integer beyond 32 bits';
}

function describeInstance(value: object): string {
  const { constructor } = value as { readonly constructor?: unknown };
  const name = typeof constructor === 'function' ? constructor.name : '';
  return name === '' ? 'an object of a class' : `an instance of ${clean(name, 60)}`;
}

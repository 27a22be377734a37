/** What a schema finds wrong, in words. */
import { clean } from '../../core/core.ts';

/** An issue of a Standard Schema. */
export interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** `<where>: <what is wrong>`, as one cleaned line. */
export function issueText(issue: Issue, where: (path: readonly PropertyKey[]) => string): string {
  return clean(`${where(pathOf(issue))}: ${issue.message}`);
}

/** The keys that lead to what is wrong. */
export function pathOf({ path = [] }: Issue): readonly PropertyKey[] {
  return path.map((step) => (typeof step === 'object' ? step.key : step));
}

/** The value at the end of `path`, undefined if there is none. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

const SECRET = /pass|secret|token|key|credential|auth/i;

/** A value of a configuration for the operator's eyes: short, and nothing of what may be a secret. */
export function showValue(value: unknown, path: readonly PropertyKey[]): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  if (path.some((key) => SECRET.test(String(key)))) return `a ${typeof value}`;
  if (typeof value === 'string') return JSON.stringify(clean(value, 60));
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : `a ${typeof value}`;
}

/** Dotted names as a tree of namespaces: where each method stands in a generated client. Pure. */
import type { DescribedMethod } from './read-methods.ts';

/** A namespace, a method, or both: `a.b` beside `a.b.c`. */
export interface TreeNode {
  readonly method: DescribedMethod | undefined;
  /** By the names of their properties, sorted. */
  readonly children: ReadonlyMap<string, TreeNode>;
}

interface Branch {
  method: DescribedMethod | undefined;
  readonly children: Map<string, Branch>;
}

// Deeper than any real name; whoever walks the tree goes no deeper either.
const MAX_PARTS = 16;

/** Every part of a name is a property of that name, whatever it is; but for `then`, see {@link keyOf}. */
export function treeOf(methods: readonly DescribedMethod[]): TreeNode {
  const root = branch();
  for (const method of methods) {
    let place = root;
    for (const part of partsOf(method.name)) {
      const child = place.children.get(part) ?? branch();
      place.children.set(part, child);
      place = child;
    }
    place.method = method;
  }
  return sorted(root);
}

/** A name of too many parts is one property as a whole: no other has dots. */
function partsOf(name: string): readonly string[] {
  const parts = name.split('.', MAX_PARTS + 1);
  return parts.length > MAX_PARTS ? [name] : parts;
}

function branch(): Branch {
  return { method: undefined, children: new Map() };
}

function sorted({ method, children }: Branch): TreeNode {
  const keyed = [...children].map(([part, child]) => [keyOf(part, children), sorted(child)] as const);
  return { method, children: new Map(keyed.sort(([a], [b]) => (a < b ? -1 : 1))) };
}

/** An object with a method `then` is taken for a promise wherever it is awaited, so that part is `then_`, or the next that is free. */
function keyOf(part: string, siblings: ReadonlyMap<string, unknown>): string {
  let key = part;
  while (key === 'then' || (key !== part && siblings.has(key))) key += '_';
  return key;
}

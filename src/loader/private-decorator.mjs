// @ts-check
/** A decorator of a `#private` member: the language does not have it in this form, and the compiler drops it silently. */
import { frameOf } from './compile-error.mjs';

/** @typedef {import('./doc-comments.mjs').Node} Node */

/** A false alarm costs a parse. @param {string} source */
export function mayDecoratePrivate(source) {
  return source.includes('#') && /@(?:[\w$]+\.)*[A-Z]/.test(source);
}

/**
 * The first of them; undefined if there is none.
 * @param {string} source
 * @param {string} file
 * @param {(text: string) => unknown} parse
 * @returns {import('./compile-error.mjs').Explanation | undefined}
 */
export function explainPrivateDecorator(source, file, parse) {
  // As for doc comments: the compiler counts in bytes, from a number that the statement at the beginning says.
  const text = `;${source.replace(/^#!/, '//')}`;
  const tree = /** @type {{ body: Node[] }} */ (parse(text));
  const base = tree.body[0]?.span?.start ?? 0;
  const found = firstPrivate(tree);
  if (found?.start === undefined) return undefined;
  const before = Buffer.from(text)
    .toString('utf8', 1, found.start - base)
    .split(/\r\n|[\n\r\u2028\u2029]/);
  const [line, column] = [before.length, (before.at(-1) ?? '').length + 1];
  const reason = `a decorator has no effect on the private member #${found.name}; make it public, or leave the decorator out`;
  return { file, line, column, reason, frame: frameOf(source.split(/\r\n|[\n\r\u2028\u2029]/), line, column) };
}

/** In no particular order. A loop, since trees may be deeper than the stack. @param {unknown} tree */
function firstPrivate(tree) {
  /** @type {unknown[]} */
  const queue = [tree];
  for (const node of queue) {
    if (typeof node !== 'object' || node === null) continue;
    const { type, key, decorators, function: method } = /** @type {Node} */ (node);
    if (type === 'PrivateMethod' || type === 'PrivateProperty') {
      const of = type === 'PrivateMethod' ? /** @type {Node | undefined} */ (method)?.decorators : decorators;
      const [first] = Array.isArray(of) ? /** @type {Node[]} */ (of) : [];
      if (first) return { start: first.span?.start, name: /** @type {{ value?: string } | undefined} */ (key)?.value ?? '' };
    }
    // Spreading very many children would overflow the stack.
    for (const child of Object.values(node)) queue.push(child);
  }
  return undefined;
}

// @ts-check
/** Finds decorators of `#private` members, which the language does not support in this form, and which the compiler drops silently. */
import { frameOf } from './compile-error.mjs';

/** @typedef {import('./doc-comments.mjs').Node} Node */

/** True if there may be one; a false positive costs a parse. @param {string} source */
export function mayDecoratePrivate(source) {
  return source.includes('#') && /@(?:[\w$]+\.)*[A-Z]/.test(source);
}

/**
 * Explains the first such decorator; undefined if there is none.
 * @param {string} source
 * @param {string} file
 * @param {(text: string) => unknown} parse
 * @returns {import('./compile-error.mjs').Explanation | undefined}
 */
export function explainPrivateDecorator(source, file, parse) {
  // As in doc-comments.mjs: positions are bytes, relative to that of the statement that we add at the beginning.
  const text = `;${source.replace(/^#!/, '//')}`;
  const tree = /** @type {{ body: Node[] }} */ (parse(text));
  const base = tree.body[0]?.span?.start ?? 0;
  const found = firstPrivate(tree);
  if (found?.start === undefined) return undefined;
  const before = Buffer.from(text)
    .toString('utf8', 1, found.start - base)
    .split(/\r\n|[\n\r\u2028\u2029]/);
  const [line, column] = [before.length, (before.at(-1) ?? '').length + 1];
  const reason = `a decorator has no effect on the private member #${found.name}; make it public, or remove the decorator`;
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

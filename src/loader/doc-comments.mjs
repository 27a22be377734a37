// @ts-check
/** Reads the help texts of plugins, which are the doc comments above class methods, by the positions in the syntax tree. */

/** The key under which the footer of a compiled module records them, in a Map from the URL of the module. */
export const DOC_COMMENTS = Symbol.for('co2-relay.doc-comments');

/** @typedef {Record<string, Record<string, string>>} DocComments class name -> method name -> text */
/** @typedef {{ start: number, end: number }} Span */
/** @typedef {{ type?: string, span?: Span, [field: string]: unknown }} Node */
/** @typedef {(span: Span) => Span} Place of a span, in bytes of the source */

/** An object without a prototype, because a method may be called `constructor`. @template T @returns {Record<string, T>} */
export function emptyTable() {
  /** @type {Record<string, T>} */
  const table = {};
  Object.setPrototypeOf(table, null);
  return table;
}

/**
 * True if the source may have a decorator, whose name begins with a capital letter, unlike a tag of a doc comment; a false positive costs a
 * parse.
 * @param {string} source
 */
export function mayHaveDocComments(source) {
  return source.includes('/**') && /@(?:[\w$]+\.)*[A-Z]/.test(source);
}

/**
 * The statement that records the comments when the module has run. Empty if there are none.
 * @param {DocComments} docs
 */
export function docFooter(docs) {
  if (Object.keys(docs).length === 0) return '';
  // JSON.parse, since an object literal treats __proto__ differently.
  const value = `JSON.parse(${JSON.stringify(JSON.stringify(docs))})`;
  return `;(globalThis[globalThis.Symbol.for('co2-relay.doc-comments')] ??= new globalThis.Map()).set(import.meta.url, globalThis.${value});\n`;
}

/**
 * Reads the doc comments of all methods of all classes with a name.
 * @param {string} source
 * @param {(text: string) => unknown} parse
 * @returns {DocComments}
 */
export function readDocComments(source, parse) {
  // The compiler's positions are bytes of UTF-8 with an offset that depends on what it parsed before; the statement that we add at the
  // beginning shows the offset. A line for the shell is only valid at the very beginning, so it becomes a comment.
  const text = `;${source.replace(/^#!/, '//')}`;
  const bytes = Buffer.from(text);
  const tree = /** @type {{ body: Node[] }} */ (parse(text));
  const base = tree.body[0]?.span?.start ?? 0;
  /** @type {DocComments} */
  const docs = emptyTable();
  for (const { name, node } of classesIn(tree)) {
    const methods = docsOfClass(node, bytes, base);
    for (const [method, doc] of Object.entries(methods)) {
      const known = (docs[name] ??= emptyTable());
      known[method] ??= doc;
    }
  }
  return docs;
}

/** All classes with their names at run time, outer ones first. A loop, since trees may be deeper than the stack. @param {unknown} tree */
function* classesIn(tree) {
  /** @type {{ node: unknown, name: string | undefined }[]} */
  const queue = [{ node: tree, name: undefined }];
  for (const { node, name } of queue) {
    if (Array.isArray(node)) {
      for (const child of node) queue.push({ node: child, name: undefined });
      continue;
    }
    if (typeof node !== 'object' || node === null) continue;
    const { type, identifier, id, init, decl, decorators, ...rest } = /** @type {Node} */ (node);
    if (type === 'ClassDeclaration' || type === 'ClassExpression') {
      const own = nameOf(identifier) ?? name;
      if (own !== undefined) yield { name: own, node: /** @type {Node} */ (node) };
      // The compiler gives this name to a decorated `export default class {}`.
      if (own === 'default' && isFilled(decorators)) yield { name: '_class', node: /** @type {Node} */ (node) };
    }
    queue.push({ node: init, name: nameOf(id) }, { node: decl, name: type === 'ExportDefaultDeclaration' ? 'default' : undefined });
    for (const child of Object.values(rest)) if (typeof child === 'object') queue.push({ node: child, name: undefined });
  }
}

/** @param {Node} node @param {Buffer} bytes @param {number} base @returns {Record<string, string>} */
function docsOfClass(node, bytes, base) {
  /** @type {Record<string, string>} */
  const docs = emptyTable();
  const head = [node.identifier, node.superClass, node.superTypeParams, node.typeParams, node.implements, node.decorators];
  let end = Math.max(node.span?.start ?? base, ...spansOf(head).map((span) => span.end));
  for (const member of /** @type {Node[]} */ (node.body)) {
    const key = /** @type {Node | undefined} */ (member.key);
    const name = member.type === 'ClassMethod' && member.isStatic !== true ? nameOf(key) : undefined;
    if (name !== undefined && key?.span) {
      const decorators = spansOf([/** @type {Node | undefined} */ (member.function)?.decorators]);
      const doc = lastDocComment(textBetween(bytes, { start: end - base, end: key.span.start - base }, decorators, base));
      if (doc !== '') docs[name] ??= doc;
    }
    end = Math.max(end, member.span?.end ?? 0);
  }
  return docs;
}

/** The source between two places without the decorators in it: nothing but spaces, comments and a few words are left.
 * @param {Buffer} bytes @param {Span} range @param {Span[]} without @param {number} base */
function textBetween(bytes, range, without, base) {
  let text = '';
  let from = range.start;
  for (const span of without) {
    text += bytes.toString('utf8', from, span.start - base);
    from = span.end - base;
  }
  return text + bytes.toString('utf8', from, range.end);
}

/** @param {string} text */
function lastDocComment(text) {
  let doc = '';
  // A comment before the brace of a class belongs to the class; one after a member on the same line belongs to that member.
  for (const { 0: token, index } of text.matchAll(/\/\*[^]*?\*\/|\/\/.*|\{/g)) {
    const before = text.slice(0, index);
    const trailing = !/[\n{]/.test(before) && text.slice(index + token.length).includes('\n');
    if (token === '{') doc = '';
    else if (/^\/\*\*[^*/]/.test(token) && !trailing) doc = textOf(token);
  }
  return doc;
}

/** The description: without the stars, up to the first `@tag` that begins a line. @param {string} comment */
function textOf(comment) {
  const lines = comment
    .slice(3, -2)
    .split(/\r\n|[\n\r\u2028\u2029]/)
    .map((line) => line.replace(/^\s*\*? ?/, '').trimEnd());
  lines[0] = (lines[0] ?? '').trimStart();
  const tag = lines.findIndex((line) => /^\s*@[a-z]/i.test(line));
  return (tag === -1 ? lines : lines.slice(0, tag)).join('\n').trim();
}

/** @param {unknown} node @returns {string | undefined} */
function nameOf(node) {
  const { type, value } = /** @type {Node} */ (node ?? {});
  return (type === 'Identifier' || type === 'StringLiteral') && typeof value === 'string' ? value : undefined;
}

/** @param {unknown} list */
function isFilled(list) {
  return Array.isArray(list) && list.length > 0;
}

/** @param {unknown[]} nodes @returns {Span[]} */
function spansOf(nodes) {
  return nodes.flat().flatMap((node) => {
    // The syntax tree of a class that is extended, `extends (f())`, has its place one level deeper.
    const { span, expression } = /** @type {Node} */ (node ?? {});
    return span ?? /** @type {Node | undefined} */ (expression)?.span ?? [];
  });
}

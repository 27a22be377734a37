// @ts-check
/**
 * Relaxes imports of names that only the emitted metadata of decorators uses. The compiler sees one file, so it cannot know whether such a
 * name is a class, whose value the metadata needs, or a type, which does not exist at run time and would break the import.
 */

/** @typedef {import('./doc-comments.mjs').Node} Node */
/** @typedef {{ start: number, end: number, text: string }} Edit In bytes of the code. */

/** The prefix of the specifier of an import that may lead to declarations only; the resolve hook removes it. */
export const FOR_TYPES = 'co2-types:';

/** True if there may be such imports; a false positive costs another compilation. @param {string} code */
export function mayImportTypes(code) {
  return code.includes('_ts_metadata(') && /^import\s/m.test(code);
}

/**
 * Imports such names as members of their module, where a missing name is undefined:
 *
 *       import { Reading } from "./_shapes.ts";            typeof Reading === "undefined" ? Object : Reading
 *       import * as types_1 from "./_shapes.ts";           typeof types_1.Reading === "undefined" ? Object : types_1.Reading
 *
 * @param {string} code As compiled with metadata.
 * @param {string} plain As compiled without, so that what only metadata uses is not imported.
 * @param {(text: string) => unknown} parse
 * @returns {string} `code` with the same lines.
 */
export function relaxTypeImports(code, plain, parse) {
  const used = importsOf(treeOf(plain, parse).tree);
  const usedNames = new Set(used.flatMap(({ names }) => names.map(({ local }) => local)));
  const usedModules = new Set(used.map(({ specifier }) => specifier));
  const { tree, bytes, base } = treeOf(code, parse);
  /** @type {Map<string, string>} */
  const members = new Map();
  /** @type {Edit[]} */
  const edits = [];
  for (const { node, specifier, source, names } of importsOf(tree)) {
    const others = names.filter(({ local }) => !usedNames.has(local));
    if (others.length === 0) continue;
    const namespace = others.find(({ member }) => member === undefined)?.local ?? unusedName(code, members.size);
    for (const { local, member } of others) if (member !== undefined) members.set(local, `${namespace}[${JSON.stringify(member)}]`);
    const { start, end } = spanIn(node, base);
    const from = spanIn(source, base);
    const attributes = bytes.toString('utf8', from.end, end);
    // A name that is imported as a value must exist in any case.
    const relaxed = JSON.stringify(usedModules.has(specifier) ? specifier : FOR_TYPES + specifier);
    const kept = clauseOf(names.filter((name) => !others.includes(name)));
    const first = kept === '' ? '' : `import ${kept} from ${bytes.toString('utf8', from.start, end)} `;
    const removedLines = bytes.toString('utf8', start, from.start).split('\n').length - 1;
    edits.push({ start, end, text: `${first}import * as ${namespace} from ${relaxed}${attributes}${'\n'.repeat(removedLines)}` });
  }
  if (edits.length === 0) return code;
  for (const node of metadataNames(tree)) {
    const text = members.get(/** @type {string} */ (node.value));
    if (text !== undefined) edits.push({ ...spanIn(node, base), text });
  }
  return edited(bytes, edits);
}

/** @param {string} code @param {(text: string) => unknown} parse */
function treeOf(code, parse) {
  // The compiler's positions are bytes with an offset that depends on what it parsed before; the statement that we add shows the offset.
  const text = `;${code.replace(/^#!/, '//')}`;
  const tree = /** @type {{ body: Node[] }} */ (parse(text));
  return { tree, bytes: Buffer.from(text), base: tree.body[0]?.span?.start ?? 0 };
}

/**
 * @typedef {{ local: string, member: string | undefined }} ImportedName `member` undefined: the whole module
 * @param {{ body: Node[] }} tree
 * @returns {{ node: Node, source: Node, specifier: string, names: ImportedName[] }[]}
 */
function importsOf({ body }) {
  return body
    .filter(({ type }) => type === 'ImportDeclaration')
    .map((node) => {
      const source = /** @type {Node} */ (node.source);
      const names = /** @type {Node[]} */ (node.specifiers).map((one) => ({ local: textOf(one.local), member: memberOf(one) }));
      return { node, source, specifier: textOf(source), names };
    });
}

/** @param {Node} specifier */
function memberOf({ type, local, imported }) {
  if (type === 'ImportNamespaceSpecifier') return undefined;
  return type === 'ImportDefaultSpecifier' ? 'default' : textOf(imported ?? local);
}

/** @param {unknown} node An identifier or a string. */
function textOf(node) {
  return String(/** @type {{ value?: unknown }} */ (node).value);
}

/** The text between `import` and `from`. @param {ImportedName[]} names */
function clauseOf(names) {
  const whole = names.filter(({ member }) => member === undefined).map(({ local }) => `* as ${local}`);
  const members = names.flatMap(({ local, member }) =>
    member === undefined ? [] : [member === local ? local : `${JSON.stringify(member)} as ${local}`],
  );
  // `import a, * as b` is the one form that has both.
  const isDefaultAlone = whole.length > 0 && members.length > 0;
  const list = isDefaultAlone ? names.flatMap(({ local, member }) => (member === 'default' ? [local] : [])) : [];
  if (isDefaultAlone) return [...list, ...whole].join(', ');
  return members.length > 0 ? `{ ${members.join(', ')} }` : whole.join();
}

/**
 * The identifiers that the arguments of all calls of the metadata helper refer to, and those of `import Foo = Bar.Foo`, which the
 * compiler writes as `const Foo = Bar.Foo`; a loop, since trees may be deeper than our stack.
 * @param {{ body: Node[] }} tree
 */
function* metadataNames(tree) {
  const aliases = tree.body
    .filter(({ type }) => type === 'VariableDeclaration')
    .flatMap(({ declarations }) => /** @type {Node[]} */ (declarations).map(({ init }) => /** @type {Node | null} */ (init)))
    .filter((init) => init?.type === 'MemberExpression' || init?.type === 'Identifier');
  /** @type {{ node: unknown, isMetadata: boolean }[]} */
  const queue = [{ node: tree, isMetadata: false }, ...aliases.map((node) => ({ node, isMetadata: true }))];
  for (const { node, isMetadata } of queue) {
    if (typeof node !== 'object' || node === null) continue;
    const { type, callee, property, ...rest } = /** @type {Node} */ (node);
    if (type === 'Identifier' && isMetadata) yield /** @type {Node} */ (node);
    const isHelper = type === 'CallExpression' && /^_ts_metadata\d*$/.test(textOf(callee ?? {}));
    // A name after a dot refers to nothing by itself.
    const children = [...Object.values(rest), ...(isMetadata ? [] : [callee, property])];
    for (const child of children) queue.push({ node: child, isMetadata: isMetadata || isHelper });
  }
}

/** @param {Node} node @param {number} base */
function spanIn({ span }, base) {
  return { start: (span?.start ?? base) - base, end: (span?.end ?? base) - base };
}

/** @param {string} code @param {number} number */
function unusedName(code, number) {
  let name = `types_${number}`;
  while (code.includes(name)) name = `_${name}`;
  return name;
}

/** @param {Buffer} bytes @param {Edit[]} edits */
function edited(bytes, edits) {
  /** @type {string[]} */
  const parts = [];
  // After our statement.
  let from = 1;
  for (const { start, end, text } of edits.sort((one, other) => one.start - other.start)) {
    parts.push(bytes.toString('utf8', from, start), text);
    from = end;
  }
  return parts.join('') + bytes.toString('utf8', from);
}

// @ts-check
/** Compiles source text to the ES module that Node runs. The compiler itself is loaded for the first module that is not in the cache. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { explainSyntaxError, failingModule } from './compile-error.mjs';
import { compilerVersion, parseSync, transformSync } from './compiler.mjs';
import { docFooter, mayHaveDocComments, readDocComments } from './doc-comments.mjs';
import { explainPrivateDecorator, mayDecoratePrivate } from './private-decorator.mjs';
import { mayImportTypes, relaxTypeImports } from './type-imports.mjs';

/** @satisfies {import('@swc/types').TsParserConfig} */
const typeScript = { syntax: /** @type {const} */ ('typescript'), decorators: true };
/** @satisfies {import('@swc/types').EsParserConfig} */
const script = { syntax: /** @type {const} */ ('ecmascript'), decorators: true };

/** @satisfies {import('@swc/types').Options} */
const options = {
  swcrc: false,
  configFile: false,
  isModule: true,
  // The map names the source file. With its text the cache would be twice as large.
  sourceMaps: true,
  inlineSourcesContent: false,
  jsc: {
    target: /** @type {const} */ ('es2022'),
    parser: typeScript,
    externalHelpers: false,
    keepClassNames: true,
    // Imports of JSON need their attributes.
    experimental: { keepImportAttributes: true },
    transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: true },
  },
  module: { type: /** @type {const} */ ('es6') },
};

/** @type {string | undefined} */
let id;

/** Identifies everything but the source that determines the output: the compiler, its options, and the code of the loader. */
export function compilerId() {
  if (id !== undefined) return id;
  const hash = createHash('sha256');
  hash.update(compilerVersion());
  for (const file of [
    './compile.mjs',
    './compiler.mjs',
    './compile-error.mjs',
    './doc-comments.mjs',
    './private-decorator.mjs',
    './type-imports.mjs',
  ])
    hash.update(readFileSync(new URL(file, import.meta.url)));
  id = hash.digest('hex');
  return id;
}

/**
 * Compiles a TypeScript module. One that does not compile becomes a module that throws a CompileError when it runs, since
 * an error of a hook loses its symbols on the way from the hooks thread.
 * @param {string} source
 * @param {string} file
 */
export function compileTypeScript(source, file) {
  try {
    const ours = { ...options, filename: file, sourceFileName: pathToFileURL(file).href };
    const output = transformSync(source, ours);
    const code = mayImportTypes(output.code) ? withTypesRelaxed(output.code, source, ours) : output.code;
    const dropped = mayDecoratePrivate(source) ? explainPrivateDecorator(source, file, (text) => parsed(text, typeScript)) : undefined;
    if (dropped) return failingModule(dropped, source);
    const footer = mayHaveDocComments(source) ? docComments(source, typeScript) : '';
    return `${code}\n${footer}//# sourceMappingURL=data:application/json;base64,${Buffer.from(output.map ?? '').toString('base64')}\n`;
  } catch (error) {
    return failingModule(explainSyntaxError(error, source, file), source);
  }
}

/** @param {string} code @param {string} source @param {typeof options} ours */
function withTypesRelaxed(code, source, ours) {
  const transform = { ...ours.jsc.transform, decoratorMetadata: false };
  const plain = transformSync(source, { ...ours, sourceMaps: false, jsc: { ...ours.jsc, transform } });
  return relaxTypeImports(code, plain.code, (text) => parsed(text, script));
}

/** Leaves a JavaScript module as it is, except for a statement at its end that records its doc comments. @param {string} source */
export function compileScript(source) {
  return `${source}\n${docComments(source, script)}`;
}

/**
 * The statement that records the doc comments; empty if they cannot be read, so that the module still works. @param {string} source @param
 * {typeof typeScript | typeof script} syntax
 */
function docComments(source, syntax) {
  try {
    return docFooter(readDocComments(source, (text) => parsed(text, syntax)));
  } catch {
    return '';
  }
}

/** True if the source has no syntax error. @param {string} source @param {boolean} isTypeScript */
export function parses(source, isTypeScript) {
  try {
    parsed(source, isTypeScript ? typeScript : script);
    return true;
  } catch {
    return false;
  }
}

/** The syntax tree. @param {string} text @param {typeof typeScript | typeof script} syntax */
function parsed(text, syntax) {
  return parseSync(text, { ...syntax, target: 'es2022' });
}

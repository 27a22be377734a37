/** Who may import whom: a pure check of source texts against the table. */
import { posix } from 'node:path';
import ts from 'typescript';

const GROUND = ['message', 'xmlrpc', 'json', 'store', 'loader', 'links'];
const PARTS = ['satellites', 'work', 'recording', 'services', 'mesh', 'plugin-host'];
/** Directories below plugin-host. Each has a public file of its own, for the others and for plugin-host; from outside only plugin-host is imported. */
const HOST = ['hosted', 'modules', 'programs', 'children', 'hooks'].map((name) => `plugin-host/${name}`);
const BELOW_APP = [...GROUND, ...PARTS, 'plugin', 'streams', 'relay', 'http', 'define-config'];

/** Room -> the rooms that it may import. */
const TABLE: Readonly<Record<string, readonly string[]>> = {
  message: [],
  loader: [],
  xmlrpc: ['message'],
  json: ['message'],
  store: ['message'],
  links: ['xmlrpc', 'message'],
  plugin: ['message'],
  streams: ['message', 'store'],
  'plugin-host/hosted': ['plugin', 'loader', 'message'],
  'plugin-host/modules': ['plugin-host/hosted', 'plugin', 'loader', 'message'],
  'plugin-host/programs': ['plugin-host/hosted', 'loader', 'xmlrpc', 'store', 'message'],
  'plugin-host/children': ['plugin-host/modules', 'plugin-host/programs', 'plugin-host/hosted', 'loader', 'xmlrpc', 'message'],
  'plugin-host/hooks': ['plugin-host/modules', 'plugin-host/hosted', 'plugin', 'loader', 'xmlrpc', 'message'],
  'plugin-host': [...HOST, 'plugin', 'loader', 'message'],
  satellites: ['links', 'xmlrpc', 'store', 'message'],
  work: ['plugin', 'plugin-host', 'streams', 'store', 'message'],
  recording: ['plugin', 'plugin-host', 'streams', 'store', 'message'],
  services: ['plugin', 'plugin-host', 'streams', 'store', 'message'],
  mesh: ['links', 'xmlrpc', 'store', 'streams', 'message'],
  relay: [...PARTS, 'xmlrpc', 'message'],
  http: ['relay', 'xmlrpc', 'json', 'message'],
  'define-config': BELOW_APP.filter((room) => room !== 'define-config'),
  app: BELOW_APP,
  // A relay's side of the protocol for programs, with the pieces of a relay.
  'check-plugin': ['plugin-host', 'plugin-host/programs', 'http', 'relay', 'xmlrpc', 'message'],
  // Starts a relay as somebody's program would, and stands in for its network.
  testing: ['app', 'define-config', 'relay', 'links', 'xmlrpc', 'message'],
  // The tokens of a state directory are made and revoked, and plugins are written under names that can be loaded, whether a relay runs or not.
  cli: ['app', 'define-config', 'check-plugin', 'plugin-host', 'loader', 'xmlrpc', 'store', 'message'],
};

/** Faces that are not `src/<room>/<room>.ts`. */
const FACES: Readonly<Record<string, string>> = { loader: 'src/loader/loader.mjs', app: 'src/app.ts' };
/** Second faces, each for one room alone: what the plugin host may know of a plugin is no business of an author. */
const SECOND_FACES: Readonly<Record<string, readonly string[]>> = {
  'src/plugin/for-host.ts': ['plugin-host', ...HOST],
  'src/xmlrpc/codec.ts': ['plugin-host/children'],
  'src/plugin-host/programs/internal.ts': ['check-plugin'],
};

/** One import that breaks a rule. */
export interface Violation {
  file: string;
  line: number;
  specifier: string;
  rule: string;
}

interface Import {
  file: string;
  line: number;
  specifier: string;
  /** The path of the imported file from the root of the repository; undefined for a package. */
  target: string | undefined;
}

/** Checks all files; the keys are paths from the root of the repository, with slashes. */
export function checkImports(files: ReadonlyMap<string, string>): Violation[] {
  const imports = [...files].flatMap(([file, source]) => importsOf(file, source));
  const broken = imports.flatMap((one) => {
    const rule = one.file.startsWith('src/') ? ruleBrokenInSource(one) : ruleBrokenOutside(one);
    return rule === undefined ? [] : [{ file: one.file, line: one.line, specifier: one.specifier, rule }];
  });
  return [...broken, ...circlesIn(imports)];
}

/** The violation as one line for a reader. */
export function describe({ file, line, specifier, rule }: Violation): string {
  return `${file}:${line} imports ${specifier}: ${rule}`;
}

/** `src/relay/stamp.ts` -> `relay`, `src/plugin-host/hooks/hook.ts` -> `plugin-host/hooks`, `src/app.ts` -> `app`. */
function roomOf(file: string): string {
  const nested = HOST.find((room) => file.startsWith(`src/${room}/`));
  if (nested !== undefined) return nested;
  return (file.split('/')[1] ?? '').replace(/\.\w+$/, '');
}

function ruleBrokenInSource({ file, specifier, target }: Import): string | undefined {
  if (/^co2-relay(\/|$)/.test(specifier)) return 'src imports its own files by path, not by the name of the package';
  if (target === undefined) return undefined;
  if (!target.startsWith('src/')) return 'src imports nothing of ours outside src';
  const [from, to] = [roomOf(file), roomOf(target)];
  if (from === to) return undefined;
  const allowed = TABLE[from];
  if (allowed === undefined) return `the room ${from} is not in the table of import rules`;
  if (!allowed.includes(to)) return `the room ${from} may import ${allowed.join(', ') || 'nothing'} of ours, but not ${to}`;
  const face = FACES[to] ?? `src/${to}/${posix.basename(to)}.ts`;
  if (target === face || SECOND_FACES[target]?.includes(from)) return undefined;
  return `the room ${from} may import only the face of ${to}, ${face}`;
}

function ruleBrokenOutside({ file, specifier, target }: Import): string | undefined {
  if (target === undefined) return undefined;
  const top = target.split('/')[0] ?? '';
  if (['src', 'dist', 'test', 'bin'].includes(top)) return `${file.split('/')[0] ?? ''} imports of ours only the package by its name`;
  return specifier.startsWith('/') || top === '..' ? 'an import must not lead out of the repository' : undefined;
}

/** All imports of a file: static and dynamic ones, re-exports, types; not what is computed at run time. */
function importsOf(file: string, source: string): Import[] {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const found: Import[] = [];
  const visit = (node: ts.Node): void => {
    const text = specifierOf(node);
    if (text !== undefined) {
      const line = tree.getLineAndCharacterOfPosition(text.getStart()).line + 1;
      found.push({ file, line, specifier: text.text, target: targetOf(file, text.text) });
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

function specifierOf(node: ts.Node): ts.StringLiteralLike | undefined {
  let specifier: ts.Node | undefined;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) specifier = node.moduleSpecifier;
  else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) specifier = node.arguments[0];
  else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) specifier = node.argument.literal;
  else if (ts.isExternalModuleReference(node)) specifier = node.expression;
  return specifier && ts.isStringLiteralLike(specifier) ? specifier : undefined;
}

function targetOf(file: string, specifier: string): string | undefined {
  if (!/^\.{0,2}\//.test(specifier)) return undefined;
  return posix.normalize(posix.join(posix.dirname(file), specifier.replace(/[?#].*$/, '')));
}

/** Circles between files. Each is told once, at the import that closes it. */
function circlesIn(imports: readonly Import[]): Violation[] {
  const edges = new Map<string, Import[]>();
  for (const one of imports) edges.set(one.file, [...(edges.get(one.file) ?? []), one]);
  const done = new Set<string>();
  const circles: Violation[] = [];
  const follow = (file: string, path: readonly string[]): void => {
    for (const { line, specifier, target } of edges.get(file) ?? []) {
      if (target === undefined || done.has(target)) continue;
      const start = [...path, file].indexOf(target);
      if (start === -1) follow(target, [...path, file]);
      else circles.push({ file, line, specifier, rule: `a circle: ${[...path, file].slice(start).concat(target).join(' -> ')}` });
    }
    done.add(file);
  };
  for (const file of edges.keys()) if (!done.has(file)) follow(file, []);
  return circles;
}

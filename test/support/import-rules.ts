/** Checks source texts against the table of permitted imports between directories; pure. */
import { posix } from 'node:path';
import ts from 'typescript';

// In order: each group may import the groups before it; the table has the details.
const BASE = ['core', 'values', 'message'];
const GROUND = [...BASE, 'xmlrpc', 'json', 'events', 'state', 'store', 'client', 'access', 'plugin', 'loader', 'identity'];
const FLOW = [...GROUND, 'rpc', 'streams', 'links'];
/**
 * Directories below plugin-host. Each has a public file for its siblings and for plugin-host; other directories import plugin-host only.
 */
const HOST = ['hosted', 'durable', 'pipe', 'modules', 'programs', 'children', 'hooks'].map((name) => `plugin-host/${name}`);
const PARTS = ['plugin-host', 'mesh-core', 'mesh', 'nodes', 'satellites'];
const BELOW_APP = [...FLOW, ...PARTS, 'relay', 'work', 'recordings', 'services', 'http', 'metrics', 'config'];

/** Directory -> the directories that it may import. */
const TABLE: Readonly<Record<string, readonly string[]>> = {
  core: [],
  values: ['core'],
  message: ['core', 'values'],
  loader: [],
  xmlrpc: BASE,
  json: BASE,
  events: BASE,
  state: BASE,
  store: BASE,
  client: [...BASE, 'xmlrpc'],
  access: [...BASE, 'xmlrpc', 'state'],
  plugin: BASE,
  identity: [...BASE, 'state'],
  rpc: [...BASE, 'xmlrpc', 'events', 'access', 'plugin'],
  streams: [...BASE, 'events', 'store'],
  links: [...BASE, 'xmlrpc', 'events', 'client', 'plugin'],
  'plugin-host/hosted': [...BASE, 'events', 'plugin', 'loader', 'rpc'],
  'plugin-host/durable': [...BASE, 'events', 'store', 'plugin-host/hosted'],
  'plugin-host/pipe': BASE,
  'plugin-host/modules': [...BASE, 'events', 'plugin', 'loader', 'rpc', 'plugin-host/hosted'],
  'plugin-host/programs': [
    ...[...BASE, 'xmlrpc', 'events', 'state', 'store', 'client', 'plugin', 'loader', 'rpc'],
    ...['plugin-host/hosted', 'plugin-host/pipe'],
  ],
  'plugin-host/children': [
    ...[...BASE, 'xmlrpc', 'events', 'client', 'plugin', 'loader', 'rpc'],
    ...['plugin-host/hosted', 'plugin-host/pipe', 'plugin-host/modules', 'plugin-host/programs'],
  ],
  'plugin-host/hooks': [...BASE, 'xmlrpc', 'events', 'plugin', 'loader', 'rpc', 'plugin-host/hosted', 'plugin-host/modules'],
  'plugin-host': [...BASE, 'events', 'plugin', 'loader', 'rpc', ...HOST],
  'mesh-core': [...BASE, 'store'],
  mesh: [...FLOW, 'mesh-core'],
  nodes: [...FLOW, 'mesh-core', 'mesh'],
  satellites: FLOW,
  relay: [...FLOW, ...PARTS],
  work: [...FLOW, ...PARTS, 'relay'],
  recordings: [...FLOW, ...PARTS, 'relay'],
  services: [...FLOW, ...PARTS, 'relay'],
  http: [...FLOW, 'relay'],
  metrics: [...FLOW, ...PARTS, 'relay'],
  config: BELOW_APP.filter((directory) => directory !== 'config'),
  capabilities: BELOW_APP,
  app: [...BELOW_APP, 'capabilities'],
  'create-relay': [...BELOW_APP, 'app'],
  // The relay's side of the protocol for programs, built from parts of a relay.
  'check-plugin': [...FLOW, 'plugin-host', 'plugin-host/programs', 'relay', 'services', 'http'],
  // Starts a relay as an embedding program would, with the network and the disk in memory.
  testing: [...FLOW, 'relay', 'config', 'app'],
  // Creates and revokes tokens, and writes plugins under names that can be loaded, with or without a running relay.
  cli: [...GROUND, 'plugin-host', 'config', 'app', 'check-plugin'],
};

/** Public files that are not named `src/<directory>/<directory>.ts`. */
const PUBLIC_FILES: Readonly<Record<string, string>> = {
  loader: 'src/loader/loader.mjs',
  capabilities: 'src/capabilities.ts',
  app: 'src/app.ts',
  'create-relay': 'src/create-relay.ts',
};
/** Second public files, each for the named directories only. */
const SECOND_ENTRIES: Readonly<Record<string, readonly string[]>> = {
  // What the plugin host needs to know about a plugin, but its author does not.
  'src/plugin/internal.ts': ['rpc', 'plugin-host', ...HOST],
  // The directory lock alone, which client commands ask.
  'src/state/internal.ts': ['cli'],
  'src/client/internal.ts': ['links', 'plugin-host/programs', 'plugin-host/children', 'testing', 'check-plugin', 'cli'],
  'src/plugin-host/programs/internal.ts': ['check-plugin'],
  // What a child needs, without what only the relay needs: it makes the start of a child three times as fast.
  'src/plugin-host/modules/internal.ts': ['plugin-host/children'],
  'src/rpc/exchange.ts': ['plugin-host/children'],
  // It makes the class in mesh.ts with all that belongs to it.
  'src/mesh/make-mesh.ts': ['app'],
  // The schema and defaults, which only the relay reads.
  'src/plugin-host/hosted/options.ts': ['plugin-host', 'plugin-host/modules'],
};

/** An import that breaks a rule. */
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
  /** The path of the imported file relative to the root of the repository; undefined for a package. */
  target: string | undefined;
}

/** Checks all files; the keys are paths relative to the root of the repository, with slashes. */
export function checkImports(files: ReadonlyMap<string, string>): Violation[] {
  const imports = [...files].flatMap(([file, source]) => importsOf(file, source));
  const broken = imports.flatMap((one) => {
    const rule = one.file.startsWith('src/') ? ruleBrokenInSource(one) : ruleBrokenOutside(one);
    return rule === undefined ? [] : [{ file: one.file, line: one.line, specifier: one.specifier, rule }];
  });
  return [...broken, ...circlesIn(imports)];
}

/** Formats the violation as one line. */
export function describe({ file, line, specifier, rule }: Violation): string {
  return `${file}:${line} imports ${specifier}: ${rule}`;
}

/** `src/relay/stamp.ts` -> `relay`, `src/plugin-host/hooks/hook.ts` -> `plugin-host/hooks`, `src/app.ts` -> `app`. */
function directoryOf(file: string): string {
  const nested = HOST.find((directory) => file.startsWith(`src/${directory}/`));
  if (nested !== undefined) return nested;
  return (file.split('/')[1] ?? '').replace(/\.\w+$/, '');
}

function ruleBrokenInSource({ file, specifier, target }: Import): string | undefined {
  if (/^co2-relay(\/|$)/.test(specifier)) return 'src imports its own files by path, not by the name of the package';
  if (target === undefined) return undefined;
  if (!target.startsWith('src/')) return 'src imports nothing of ours outside src';
  const [from, to] = [directoryOf(file), directoryOf(target)];
  if (from === to) return undefined;
  const allowed = TABLE[from];
  if (allowed === undefined) return `the directory ${from} is not in the table of import rules`;
  if (!allowed.includes(to)) return `${from} may not import ${to}`;
  const publicFile = PUBLIC_FILES[to] ?? `src/${to}/${posix.basename(to)}.ts`;
  if (target === publicFile || SECOND_ENTRIES[target]?.includes(from)) return undefined;
  return `${from} may import only the public file of ${to}, ${publicFile}`;
}

function ruleBrokenOutside({ file, specifier, target }: Import): string | undefined {
  if (target === undefined) return undefined;
  const top = target.split('/')[0] ?? '';
  if (['src', 'dist', 'test', 'bin'].includes(top)) return `${file.split('/')[0] ?? ''} imports of ours only the package by its name`;
  return specifier.startsWith('/') || top === '..' ? 'an import must not lead out of the repository' : undefined;
}

/** All imports of a file: static and dynamic ones, re-exports and types, but not those computed at run time. */
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

/** Import cycles between files. Each is reported once, at the import that closes it. */
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

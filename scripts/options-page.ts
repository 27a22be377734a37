/**
 * Generates docs/options.md: types, limits and defaults come from the schema of the options, descriptions from the doc comments of their
 * types.
 */
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import ts from 'typescript';
import { z } from 'zod';
import { flagName } from '../src/cli/start-options.ts';
import { variableOf } from '../src/cli/read-options.ts';
import { DEFAULTS, SCHEMA, optionKinds } from '../src/config/config.ts';

const ROOT = join(import.meta.dirname, '..');
// The type `Options`, whose members have the doc comments.
const TYPES = join(ROOT, 'src/config/config.ts');
// `programs[].config` has members of the operator's choice; our options are not nested deeper.
const MAX_DEPTH = 3;

const INTRODUCTION = `# Options

<!-- Made by \`npm run docs\` from the schema of the options and their doc comments. Do not edit it by hand. -->

Every option of \`config.ts\`, with its type, default and unit. An option can also be set by an environment variable; a flag wins over the environment, and the
environment wins over the file. In a variable a list is comma-separated, and records are JSON. \`co2 config show\` prints the values in effect and where each comes from.
`;

/** The section titles of the interfaces that declare the options, in the order of the page. */
const SECTIONS: Readonly<Record<string, string>> = {
  HttpOptions: 'Server',
  RelayOptions: 'Calls',
  AccessOptions: 'Access',
  ModuleOptions: 'Plugins',
  HostedOptions: 'Limits of every plugin',
  DurableOptions: 'Durable satellites',
  ChildOptions: 'Plugins in processes of their own',
  ProgramsOptions: 'Programs',
  RelayPluginOptions: 'Relay plugins',
  MeshOptions: 'Peers',
  IdentityOptions: 'Identity and trust of peers',
  LinkOptions: 'Links to peers and remote satellites',
  SatelliteOptions: 'Remote satellites',
  StateOptions: 'State directory',
  StoreOptions: 'Durable store',
  WorkOptions: 'Work',
  RecordingOptions: 'Recordings',
  ServiceOptions: 'Services',
  LogOptions: 'Log',
};

/** The parts of a JSON schema that this page shows. */
interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | false;
}

/** Returns the text of docs/options.md, formatted by prettier. */
export async function formattedOptionsPage(): Promise<string> {
  return format(optionsPage(), { ...(await resolveConfig(TYPES)), parser: 'markdown' });
}

function optionsPage(): string {
  const program = ts.createProgram([TYPES], { ...compilerOptions(), noEmit: true, skipLibCheck: true });
  const checker = program.getTypeChecker();
  const types = membersOfOptions(program, checker);
  const schema = z.toJSONSchema(SCHEMA, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const sections = new Map(Object.keys(SECTIONS).map((name) => [name, [] as string[]]));
  for (const key of optionKinds().keys()) {
    const [group = '', member] = key.split('.');
    const declared = types.get(group);
    const property = member === undefined ? declared : declared && memberOf(checker, declared, member);
    const below = schema.properties?.[group];
    const own = member === undefined ? below : below?.properties?.[member];
    if (!declared || !property || !own) throw new Error(`option ${key}: no declaration or no schema found`);
    const section = sections.get(ownerOf(declared));
    if (!section) throw new Error(`option ${key}: add a title for ${ownerOf(declared)} to SECTIONS`);
    const meaning = member === undefined ? '' : meaningOf(checker, declared);
    const note = meaning && `\`${group}\`: ${meaning}\n`;
    if (note && !section.includes(note)) section.push(note);
    section.push(entry(checker, key, property, own));
  }
  const text = [...sections].map(([name, entries]) => `## ${SECTIONS[name] ?? name}\n\n${entries.join('\n')}`);
  return `${INTRODUCTION}\n${text.join('\n')}`;
}

function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as { config: object };
  return ts.parseJsonConfigFileContent({ ...config, include: [], files: [TYPES] }, ts.sys, ROOT).options;
}

function membersOfOptions(program: ts.Program, checker: ts.TypeChecker): ReadonlyMap<string, ts.Symbol> {
  const source = program.getSourceFile(TYPES);
  const module = source && checker.getSymbolAtLocation(source);
  const options = module && checker.getExportsOfModule(module).find(({ name }) => name === 'Options');
  if (!options) throw new Error(`${TYPES} exports no type Options`);
  return new Map(
    checker
      .getDeclaredTypeOfSymbol(options)
      .getProperties()
      .map((symbol) => [symbol.name, symbol]),
  );
}

function memberOf(checker: ts.TypeChecker, symbol: ts.Symbol, name: string): ts.Symbol | undefined {
  return membersOf(checker, checker.getTypeOfSymbol(symbol)).find((member) => member.name === name);
}

/** The members of an object type of ours; for an optional or union type, those of its only object type. */
function membersOf(checker: ts.TypeChecker, type: ts.Type): readonly ts.Symbol[] {
  const objects = type.isUnion() ? type.types.filter((part) => !isScalar(part)) : [type];
  const [object] = objects;
  if (!object || objects.length > 1 || checker.isArrayType(object)) return [];
  return object.getProperties().filter((symbol) => (symbol.declarations?.[0]?.getSourceFile().fileName ?? '').includes('/src/'));
}

function isScalar(type: ts.Type): boolean {
  return (type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) === 0;
}

/** The interface that declares a member of `Options`. */
function ownerOf(symbol: ts.Symbol): string {
  const parent = symbol.declarations?.[0]?.parent;
  return parent && ts.isInterfaceDeclaration(parent) ? parent.name.text : '';
}

function entry(checker: ts.TypeChecker, key: string, symbol: ts.Symbol, schema: JsonSchema): string {
  const flag = flagName(key);
  const facts = [
    `Type: ${typeText(schema)}`,
    `Default: ${defaultText(key)}`,
    unitOf(key) && `Unit: ${unitOf(key)}`,
    `Environment: \`${variableOf(key)}\``,
    flag !== key && `Flag: ${flag.replace(/--[a-z-]+/g, '`$&`')}`,
  ].filter((fact) => typeof fact === 'string' && fact !== '');
  const members = memberLines(checker, checker.getTypeOfSymbol(symbol), schema, '', 1);
  return [
    `### \`${key}\`\n`,
    `${meaningOf(checker, symbol)}\n`,
    ...facts.map((fact) => `- ${fact}`),
    '',
    ...(members.length > 0 ? ['Members:\n', ...members, ''] : []),
  ].join('\n');
}

/** The doc comment as one paragraph of Markdown; links to types become plain code. */
function meaningOf(checker: ts.TypeChecker, symbol: ts.Symbol | undefined): string {
  const text = ts.displayPartsToString(symbol?.getDocumentationComment(checker) ?? []);
  return text
    .replace(/\{@link ([^}]+)\}/g, '`$1`')
    .replace(/\s+/g, ' ')
    .trim();
}

/** One line for each member of the objects in a list, a record or an object. */
function memberLines(checker: ts.TypeChecker, type: ts.Type, schema: JsonSchema, prefix: string, depth: number): string[] {
  if (depth > MAX_DEPTH) return [];
  const [inner, within] = elementOf(checker, type, schema);
  const object = [within, ...(within.anyOf ?? [])].find(({ properties }) => properties !== undefined);
  if (!object) return [];
  return membersOf(checker, inner).flatMap((member) => {
    const own = object.properties?.[member.name];
    // The type may have members that only our own code sets.
    if (!own) return [];
    const needed = object.required?.includes(member.name) ? ', required' : '';
    const unit = unitOf(member.name);
    const facts = `${typeText(own)}${unit ? `, in ${unit}` : ''}${needed}`;
    const name = `${prefix}${member.name}`;
    return [
      `- \`${name}\` (${facts}): ${meaningOf(checker, member)}`,
      ...memberLines(checker, checker.getTypeOfSymbol(member), own, `${name}.`, depth + 1),
    ];
  });
}

/** Resolves the elements of a list, or the values of a record. */
function elementOf(checker: ts.TypeChecker, type: ts.Type, schema: JsonSchema): [type: ts.Type, schema: JsonSchema] {
  const element = checker.getIndexTypeOfType(type, ts.IndexKind.Number);
  if (schema.items && element) return [element, schema.items];
  const value = checker.getIndexTypeOfType(type, ts.IndexKind.String);
  if (schema.additionalProperties && value) return [value, schema.additionalProperties];
  return [type, schema];
}

function typeText(schema: JsonSchema): string {
  if (schema.description !== undefined) return schema.description;
  if (schema.enum) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  if ('const' in schema) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeText))].join(' or ');
  switch (schema.type) {
    case 'integer':
    case 'number':
      return `${schema.type === 'integer' ? 'whole number' : 'number'}${rangeText(schema)}`;
    case 'boolean':
      return '`true` or `false`';
    case 'string':
      return 'text';
    case 'array':
      return `list of ${schema.items ? typeText(schema.items) : 'values'}`;
    case 'object':
      return schema.additionalProperties ? `object: name to ${typeText(schema.additionalProperties)}` : 'object';
    default:
      return 'any value';
  }
}

/** The bounds, except those that only say that a number is safe. */
function rangeText({ minimum, maximum }: JsonSchema): string {
  const bounds = [
    minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? '' : `at least ${grouped(minimum)}`,
    maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? '' : `at most ${grouped(maximum)}`,
  ];
  const text = bounds.filter(Boolean).join(', ');
  return text && `, ${text}`;
}

function defaultText(key: string): string {
  const value = key.split('.').reduce<unknown>((level, part) => (level as Record<string, unknown> | undefined)?.[part], DEFAULTS);
  if (value === undefined || value === '') return 'none';
  if (typeof value === 'number') return `\`${grouped(value)}\``;
  return `\`${JSON.stringify(value).replace(/\d{5,}|(?<=[:,])\d{4,}/g, (digits) => grouped(Number(digits)))}\``;
}

/** As written in config.ts: 30_000, but a port stays 2004. */
function grouped(value: number): string {
  return Math.abs(value) < 10_000 ? String(value) : value.toLocaleString('en-US').replaceAll(',', '_');
}

function unitOf(key: string): string {
  if (key.endsWith('Ms')) return 'milliseconds';
  if (key.endsWith('Mb')) return 'MiB';
  return key.endsWith('Bytes') ? 'bytes' : '';
}

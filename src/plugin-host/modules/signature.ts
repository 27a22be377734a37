/** What a method's parameters and answer are, as far as it is declared or the compiler wrote it down. */
import 'reflect-metadata';
import { isDictType } from '../../values/values.ts';
import type { AnyClass, ExposedOptions, StandardSchema } from '../../plugin/for-host.ts';
import type { Signature } from '../hosted/hosted.ts';

/** Emitted types that say enough. A `number` may be any; whole ones go out as int, which every reader of doubles takes. */
const EMITTED = new Map<unknown, string>([
  [String, 'string'],
  [Boolean, 'boolean'],
  [Number, 'double'],
  [Date, 'dateTime.iso8601'],
  [Buffer, 'base64'],
  [Uint8Array, 'base64'],
  [Array, 'array'],
]);

/** The signature of a method of `target`: declared, or from its schema, or from the emitted types. */
export function signatureOf(target: AnyClass, method: string, { params, returns, schema }: ExposedOptions): Signature {
  const result = returns ?? emitted('design:returntype', target, method);
  if (typeof result !== 'string') return undefined;
  const ways = params ? [params] : schema ? waysOf(schema) : [emitted('design:paramtypes', target, method)];
  return ways?.every(isList) ? ways.map((way) => [result, ...way]) : undefined;
}

/** `int ham.spam.add(int, int)`: the declared types, without the result if that is not declared. */
export function declaration(name: string, { params, returns }: ExposedOptions): string {
  return `${returns === undefined ? '' : `${returns} `}${name}(${params?.join(', ') ?? '...'})`;
}

function isList(way: readonly string[] | string | undefined): way is readonly string[] {
  return Array.isArray(way);
}

function emitted(kind: 'design:paramtypes', target: AnyClass, method: string): readonly string[] | undefined;
function emitted(kind: 'design:returntype', target: AnyClass, method: string): string | undefined;
function emitted(kind: string, target: AnyClass, method: string): readonly string[] | string | undefined {
  const types: unknown = Reflect.getOwnMetadata(kind, target.prototype as object, method);
  if (!Array.isArray(types)) return emittedName(types);
  const names = types.map(emittedName).filter((name) => name !== undefined);
  return names.length === types.length ? names : undefined;
}

function emittedName(type: unknown): string | undefined {
  return isDictType(type) ? 'struct' : EMITTED.get(type);
}

interface JsonSchema {
  readonly type?: unknown;
  readonly format?: unknown;
  readonly prefixItems?: readonly JsonSchema[];
  readonly items?: unknown;
  readonly minItems?: number;
}

/** The parameter lists that a zod tuple takes: without its optional ones, with one, with two, ... */
function waysOf(schema: StandardSchema): readonly (readonly string[])[] | undefined {
  if (schema['~standard'].vendor !== 'zod') return undefined;
  const list = jsonSchemaOf(schema);
  if (list?.type !== 'array' || !list.prefixItems || (list.items !== undefined && list.items !== false)) return undefined;
  const names = list.prefixItems.map(typeName).filter((name) => name !== undefined);
  if (names.length !== list.prefixItems.length) return undefined;
  const fewest = list.minItems ?? 0;
  return Array.from({ length: names.length - fewest + 1 }, (_, more) => names.slice(0, fewest + more));
}

/** Written by the plugin's own copy of zod, which knows how (from 4.2 on); what it cannot say is not known. */
function jsonSchemaOf(schema: StandardSchema): JsonSchema | undefined {
  const { jsonSchema } = schema['~standard'] as Partial<StandardJsonSchema>;
  try {
    return jsonSchema?.input({ target: 'draft-2020-12', libraryOptions: { unrepresentable: 'any', override: markDate } }) as
      JsonSchema | undefined;
  } catch {
    return undefined;
  }
}

/** The part of https://standardschema.dev/json-schema that we call. */
interface StandardJsonSchema {
  readonly jsonSchema: {
    readonly input: (options: { readonly target: string; readonly libraryOptions: Readonly<Record<string, unknown>> }) => unknown;
  };
}

function markDate({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: { _zod: { def: { type: string } } };
  jsonSchema: Record<string, unknown>;
}): void {
  if (zodSchema._zod.def.type === 'date') jsonSchema.type = 'date';
}

const JSON_TYPES: Readonly<Record<string, string>> = {
  integer: 'int',
  number: 'double',
  string: 'string',
  boolean: 'boolean',
  array: 'array',
  object: 'struct',
  null: 'nil',
  date: 'dateTime.iso8601',
};

function typeName({ type }: JsonSchema): string | undefined {
  return typeof type === 'string' && Object.hasOwn(JSON_TYPES, type) ? JSON_TYPES[type] : undefined;
}

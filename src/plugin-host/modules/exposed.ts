/**
 * The methods that a satellite exposes: their functions and signatures, and calls with the parameters and the answer checked as declared.
 */
import 'reflect-metadata';
import { isPromise, RelayError, typedParams } from '../../core/core.ts';
import type { MaybePromise } from '../../core/core.ts';
import { methodsWith } from '../../plugin/internal.ts';
import type { AnyClass, ExposedOptions, StandardSchema, XmlRpcType } from '../../plugin/internal.ts';
import { describeValue, isDictType } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { VALUE_TYPES } from '../hosted/hosted.ts';
import type { Signature } from '../hosted/hosted.ts';
import { parameterNames } from './parameter-names.ts';
import { issueText } from './plugin-config.ts';

/** A method that a class declares. */
export interface ExposedMethod {
  /** `add` */
  readonly method: string;
  readonly name: string;
  readonly signature: Signature;
  readonly paramNames: readonly string[];
  readonly options: ExposedOptions;
  readonly run: (this: object, ...params: readonly unknown[]) => unknown;
}

/** The methods that `target` itself exposes. Throws an Error that names the method whose declaration is invalid. */
export function exposedMethods(target: AnyClass, module: string): readonly ExposedMethod[] {
  return [...methodsWith('Exposed', target)].map(([method, options]) => {
    const run: unknown = Object.getOwnPropertyDescriptor(target.prototype, method)?.value;
    const refuse = (reason: string): never => {
      throw new Error(`@Exposed on ${target.name}.${method}: ${reason}`);
    };
    if (typeof run !== 'function') return refuse('only methods can be exposed');
    if (!/^[A-Za-z_]\w*$/.test(method)) refuse('a method name has letters, digits and "_", and does not begin with a digit');
    const name = `${module}.${method}`;
    const [signature, paramNames] = [signatureOf(target, method, options), parameterNames(run as ExposedMethod['run'])];
    return { method, name, options, signature, paramNames, run: run as ExposedMethod['run'] };
  });
}

/** Calls `method` on `instance`, and checks its parameters and its answer. */
export function invokeExposed(method: ExposedMethod, instance: object, params: readonly Value[]): MaybePromise<Sendable | undefined> {
  const { options } = method;
  if (options.params) checkParams(method, options.params, params);
  else if (options.schema) return parseParams(method, options.schema, params).then((parsed) => run(method, instance, parsed));
  return run(method, instance, params);
}

function run(
  { name, options, run: method }: ExposedMethod,
  instance: object,
  params: readonly unknown[],
): MaybePromise<Sendable | undefined> {
  const answer: unknown = Reflect.apply(method, instance, params);
  if (!isPromise(answer)) return checkAnswer(name, options, answer);
  return Promise.resolve(answer).then((value) => checkAnswer(name, options, value));
}

function checkParams(method: ExposedMethod, types: readonly XmlRpcType[], params: readonly Value[]): void {
  const { name, paramNames, options } = method;
  const refuse = (reason: string): never => {
    const result = options.returns === undefined ? '' : `${options.returns} `;
    throw new RelayError('INVALID_PARAMS', `${name}: ${reason} (signature: ${result}${name}(${typedParams(types, paramNames)}))`);
  };
  if (params.length !== types.length) refuse(`${params.length} parameter${params.length === 1 ? '' : 's'} given, expected ${types.length}`);
  for (const [index, type] of types.entries()) {
    const value = params[index] ?? null;
    if (!VALUE_TYPES[type].accepts(value)) refuse(`parameter ${index + 1} is ${describeValue(value)}, expected ${type}`);
  }
}

async function parseParams(
  { name, signature, paramNames }: ExposedMethod,
  schema: StandardSchema,
  params: readonly Value[],
): Promise<readonly unknown[]> {
  const result = await schema['~standard'].validate(params);
  if (result.issues) {
    const usage = signature?.map(([answer = '', ...types]) => `${answer} ${name}(${typedParams(types, paramNames)})`).join(' or ');
    const reasons = result.issues.slice(0, 3).map((issue) => issueText(issue, parameterPath));
    throw new RelayError('INVALID_PARAMS', `${name}: ${reasons.join('; ')}${usage === undefined ? '' : ` (signature: ${usage})`}`);
  }
  if (Array.isArray(result.value)) return result.value as readonly unknown[];
  throw new RelayError('APPLICATION', `${name}: its schema yields ${describeValue(result.value)}, expected an array of parameters`);
}

function parameterPath([first, ...rest]: readonly PropertyKey[]): string {
  if (typeof first !== 'number') return 'the parameters';
  return `parameter ${first + 1}${rest.length === 0 ? '' : `, "${rest.join('.')}"`}`;
}

function checkAnswer(name: string, { returns }: ExposedOptions, answer: unknown): Sendable | undefined {
  if (returns === undefined || returns === 'any') return answer as Sendable | undefined;
  const checked = VALUE_TYPES[returns].answer(answer);
  if (checked !== undefined) return checked;
  throw new RelayError('APPLICATION', `${name}: it returned ${describeValue(answer)}, but declares ${returns}`);
}

/**
 * XML-RPC types for emitted types. A `number` is declared as double, although integers are written as int, which everyone who expects a
 * double accepts.
 */
const EMITTED = new Map<unknown, string>([
  [String, 'string'],
  [Boolean, 'boolean'],
  [Number, 'double'],
  [Date, 'dateTime.iso8601'],
  [Buffer, 'base64'],
  [Uint8Array, 'base64'],
  [Array, 'array'],
]);

/** The signature of a method of `target`: as declared, or derived from its schema, or from the emitted types. */
export function signatureOf(target: AnyClass, method: string, { params, returns, schema }: ExposedOptions): Signature {
  const result = returns ?? emitted('design:returntype', target, method);
  if (typeof result !== 'string') return undefined;
  const lists = params ? [params] : schema ? parameterLists(schema) : [emitted('design:paramtypes', target, method)];
  return lists?.every(isList) ? lists.map((list) => [result, ...list]) : undefined;
}

function isList(types: readonly string[] | string | undefined): types is readonly string[] {
  return Array.isArray(types);
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

/** The parameter lists that a zod tuple accepts: without optional parameters, with one, with two, and so on. */
function parameterLists(schema: StandardSchema): readonly (readonly string[])[] | undefined {
  if (schema['~standard'].vendor !== 'zod') return undefined;
  const list = jsonSchemaOf(schema);
  if (list?.type !== 'array' || !list.prefixItems || (list.items !== undefined && list.items !== false)) return undefined;
  const names = list.prefixItems.map(typeName).filter((name) => name !== undefined);
  if (names.length !== list.prefixItems.length) return undefined;
  const fewest = list.minItems ?? 0;
  return Array.from({ length: names.length - fewest + 1 }, (_, more) => names.slice(0, fewest + more));
}

/** Written by the plugin's own copy of zod (from 4.2 on). Undefined if it cannot be expressed. */
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

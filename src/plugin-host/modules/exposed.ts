/** The methods that a satellite exposes: an exact map from a name to a function, with parameters and answer checked as declared. */
import { RelayError, isPromise, suggest } from '../../core/core.ts';
import type { MaybePromise } from '../../core/core.ts';
import { describeValue } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { exposedMethodsOf } from '../../plugin/for-host.ts';
import type { AnyClass, ExposedOptions, StandardSchema } from '../../plugin/for-host.ts';
import { issueText, VALUE_TYPES } from '../hosted/hosted.ts';
import { declaration, signatureOf } from './signature.ts';
import type { Signature } from '../hosted/hosted.ts';

/** A method that a class declares, before there is an instance. */
export interface ExposedMethod {
  /** `add` */
  readonly method: string;
  readonly name: string;
  readonly signature: Signature;
  readonly options: ExposedOptions;
  readonly run: (this: object, ...params: readonly unknown[]) => unknown;
}

const GRANTABLE: readonly string[] = ['message', 'call', 'admin'];

/** The methods that `target` itself exposes. Throws an Error that names the method whose declaration makes no sense. */
export function exposedMethods(target: AnyClass, module: string): readonly ExposedMethod[] {
  return [...exposedMethodsOf(target)].map(([method, options]) => {
    const run: unknown = Object.getOwnPropertyDescriptor(target.prototype, method)?.value;
    const refuse = (reason: string): never => {
      throw new Error(`@Exposed on ${target.name}.${method}: ${reason}`);
    };
    if (typeof run !== 'function') return refuse('only methods are callable');
    if (!/^[A-Za-z_]\w*$/.test(method)) refuse('the name cannot be called: letters, digits and "_", no digit first');
    if (options.params && options.schema) refuse('declare params or schema, not both');
    for (const type of [...(options.params ?? []), options.returns ?? 'any']) {
      if (!Object.hasOwn(VALUE_TYPES, type)) refuse(`there is no type "${type}"${suggest(type, Object.keys(VALUE_TYPES))}`);
    }
    const access: string = options.access ?? 'call';
    if (access === 'read') refuse("access 'read' would open it to strangers, which only the operator decides (access.anonymous)");
    if (!GRANTABLE.includes(access)) refuse(`there is no access "${access}"${suggest(access, GRANTABLE)}`);
    const name = `${module}.${method}`;
    return { method, name, options, signature: signatureOf(target, method, options), run: run as ExposedMethod['run'] };
  });
}

/** Calls `method` on `instance`: parameters checked before, the answer after. */
export function invokeExposed(method: ExposedMethod, instance: object, params: readonly Value[]): MaybePromise<Sendable | undefined> {
  const { name, options } = method;
  if (options.params) checkParams(name, options, params);
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

function checkParams(name: string, options: ExposedOptions, params: readonly Value[]): void {
  const types = options.params ?? [];
  const refuse = (reason: string): never => {
    throw new RelayError('INVALID_PARAMS', `${name}: ${reason} (signature: ${declaration(name, options)})`);
  };
  if (params.length !== types.length) refuse(`${params.length} parameter${params.length === 1 ? '' : 's'} given, expected ${types.length}`);
  for (const [index, type] of types.entries()) {
    const value = params[index] ?? null;
    if (!VALUE_TYPES[type].accepts(value)) refuse(`parameter ${index + 1} is ${describeValue(value)}, expected ${type}`);
  }
}

async function parseParams(
  { name, signature }: ExposedMethod,
  schema: StandardSchema,
  params: readonly Value[],
): Promise<readonly unknown[]> {
  const result = await schema['~standard'].validate(params);
  if (result.issues) {
    const usage = signature?.map(([answer = '', ...types]) => `${answer} ${name}(${types.join(', ')})`).join(' or ');
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
  throw new RelayError('APPLICATION', `${name}: it answered ${describeValue(answer)}, and declares ${returns}`);
}

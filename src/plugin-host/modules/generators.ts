/** Methods that are async generators: work, datasources and controllers. They are found by their decorator and iterated until a signal. */
import { RelayError } from '../../core/core.ts';
import { methodsWith } from '../../plugin/internal.ts';
import type { AnyClass, ControllerOptions, DatasourceOptions, WorkOptions } from '../../plugin/internal.ts';
import { describeValue } from '../../values/values.ts';

/** The decorators of such methods, with their options. */
interface GeneratorDecorators {
  readonly Work: WorkOptions;
  readonly Datasource: DatasourceOptions;
  readonly Controller: ControllerOptions;
}

/** A decorated method. */
export interface GeneratorMethod<Options> {
  /** `render` */
  readonly method: string;
  /** `ham.spam:render` */
  readonly name: string;
  readonly options: Options;
  readonly run: (this: object, ...params: readonly unknown[]) => unknown;
}

const WHAT: Readonly<Record<keyof GeneratorDecorators, string>> = { Work: 'work', Datasource: 'datasources', Controller: 'controllers' };

/** The methods of `target` itself with this decorator. Throws an Error that names the method whose declaration is invalid. */
export function generatorMethods<Decorator extends keyof GeneratorDecorators>(
  decorator: Decorator,
  target: AnyClass,
  module: string,
): readonly GeneratorMethod<GeneratorDecorators[Decorator]>[] {
  return [...methodsWith(decorator, target)].map(([method, options]) => {
    const run: unknown = Object.getOwnPropertyDescriptor(target.prototype, method)?.value;
    const refuse = (reason: string): never => {
      throw new Error(`@${decorator} on ${target.name}.${method}: ${reason}`);
    };
    if (typeof run !== 'function') return refuse(`only methods can be ${WHAT[decorator]}`);
    if (!/^[A-Za-z_]\w*$/.test(method)) refuse('a method name has letters, digits and "_", and does not begin with a digit');
    if (methodsWith('Exposed', target).has(method)) refuse('it is @Exposed, too; a call has one answer, so make two methods');
    const other = (Object.keys(WHAT) as (keyof GeneratorDecorators)[]).find(
      (one) => one !== decorator && methodsWith(one, target).has(method),
    );
    if (other !== undefined) refuse(`it is @${other}, too; make two methods`);
    return { method, name: `${module}:${method}`, options, run: run as GeneratorMethod<unknown>['run'] };
  });
}

/**
 * What the generator `results` yields. Throws a RelayError APPLICATION if it is none, what it throws, or the reason of the signal, after
 * which a generator that ignores the signal is left behind.
 */
export async function* iterate(name: string, results: unknown, signal: AbortSignal): AsyncGenerator<unknown, void, undefined> {
  const iterator = iteratorOf(name, results);
  // One listener for all steps: adding one for each would take longer than the step.
  let interrupt = (_reason: unknown): void => undefined;
  const onAbort = (): void => {
    interrupt(signal.reason);
  };
  signal.addEventListener('abort', onAbort);
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        interrupt = reject;
        Promise.resolve(iterator.next()).then(resolve, reject);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    void Promise.resolve(iterator.return?.(undefined)).catch(() => undefined);
  }
}

/** An async generator, or a generator. */
function iteratorOf(name: string, results: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  if (typeof results === 'object' && results !== null) {
    if (Symbol.asyncIterator in results) return (results as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (Symbol.iterator in results) return (results as Iterable<unknown>)[Symbol.iterator]();
  }
  void Promise.resolve(results).catch(() => undefined);
  throw new RelayError('APPLICATION', `${name}: it returned ${describeValue(results)}, expected an async generator: async *name(...)`);
}

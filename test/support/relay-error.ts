/** Asserts that something fails with a RelayError, by its code and data rather than by its sentence. */
import type { ExecutionContext } from 'ava';
import { RelayError } from '../../src/core/core.ts';
import type { ErrorCode, ErrorData } from '../../src/core/core.ts';

/** Asserts that the promise rejects with a RelayError of this code, which has these data (and may have more). Resolves with the error. */
export async function rejects(
  t: ExecutionContext,
  promise: PromiseLike<unknown>,
  code: ErrorCode,
  data: ErrorData = {},
): Promise<RelayError> {
  return checked(t, await t.throwsAsync(promise), code, data);
}

/** Asserts that the function throws a RelayError of this code, which has these data (and may have more). Returns the error. */
export function refuses(t: ExecutionContext, run: () => unknown, code: ErrorCode, data: ErrorData = {}): RelayError {
  return checked(t, t.throws(run), code, data);
}

function checked(t: ExecutionContext, error: unknown, code: ErrorCode, data: ErrorData): RelayError {
  if (!RelayError.is(error)) throw new Error(`expected a RelayError ${code}, found ${String(error)}`, { cause: error });
  t.is(error.code, code, error.message);
  if (Object.keys(data).length > 0) t.like(error.data, data, error.message);
  return error;
}

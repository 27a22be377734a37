/**
 * What a row of the table `text <-> value` is, and short ways to write one; `from` is the clause or the incident that the row comes from.
 */
import { dictOf } from '../../../src/values/values.ts';
import type { Dict, Sendable, Value } from '../../../src/values/values.ts';
import type { ErrorCode } from '../../../src/core/core.ts';
import type { ParseOptions, WriteOptions, XmlRpcLimits } from '../../../src/xmlrpc/xmlrpc.ts';

/** One row; `xml` is the inside of a `<value>`, `body` a whole document. */
export type Row = Both | Reads | Writes | Unwritable | Refused | Accepts | Refuses;

/** Read as `value`, and `value` is written as `xml`, which is canonical. */
interface Both {
  readonly kind: 'both';
  readonly from: string;
  readonly xml: string;
  readonly value: Value;
}

/** Read as `value`; `own` is the canonical text. */
interface Reads {
  readonly kind: 'reads';
  readonly from: string;
  readonly xml: string;
  readonly value: Value;
  readonly own: string;
}

/** `value` is written as `xml`. */
interface Writes {
  readonly kind: 'writes';
  readonly from: string;
  readonly value: Sendable;
  readonly xml: string;
  readonly options: WriteOptions;
}

/** `value` is not written: the error names `place` (`params[0].a`) and gives a reason. */
interface Unwritable {
  readonly kind: 'unwritable';
  readonly from: string;
  readonly value: unknown;
  readonly place: string;
  readonly reason: RegExp;
  readonly options: WriteOptions;
}

/** Refused at the character `column` of `xml`, or {@link ANYWHERE}; `reason` matches the text. */
interface Refused {
  readonly kind: 'refused';
  readonly from: string;
  readonly xml: string;
  readonly code: ErrorCode;
  readonly column: number;
  readonly reason: RegExp;
  readonly limits: Partial<XmlRpcLimits>;
}

/** For a column: more than one place would be right. */
export const ANYWHERE = 0;

/** The function that reads a document. */
export type Reader = 'call' | 'response' | 'struct';

/** A document that is accepted; `gives` is a part of the result. */
interface Accepts {
  readonly kind: 'accepts';
  readonly from: string;
  readonly as: Reader;
  readonly body: string | Buffer;
  readonly gives: object;
  readonly options: ParseOptions;
}

/** A document that is refused: `CODE line:column`, and a word of the reason. */
interface Refuses {
  readonly kind: 'refuses';
  readonly from: string;
  readonly as: Reader;
  readonly body: string | Buffer;
  readonly refusal: string;
  readonly reason: RegExp;
  readonly options: ParseOptions;
}

/** All extensions, so that every value can be written. */
export const ALL: WriteOptions = { nil: true, i8: true };

export const both = (from: string, xml: string, value: Value): Row => ({ kind: 'both', from, xml, value });
export const reads = (from: string, xml: string, value: Value, own: string): Row => ({ kind: 'reads', from, xml, value, own });
export const writes = (from: string, value: Sendable, xml: string, options = ALL): Row => ({ kind: 'writes', from, value, xml, options });
export const unwritable = (from: string, value: unknown, place: string, reason: RegExp, options = ALL): Row => ({
  ...{ kind: 'unwritable', from, value, place, reason, options },
});

type RefusedAs = (from: string, xml: string, column: number, reason: RegExp, limits?: Partial<XmlRpcLimits>) => Row;
const refusedAs =
  (code: ErrorCode): RefusedAs =>
  (from, xml, column, reason, limits = {}) => ({ kind: 'refused', from, xml, code, column, reason, limits });

/** XML, but not XML-RPC. */
export const wrong = refusedAs('INVALID_REQUEST');
/** Not XML. */
export const malformed = refusedAs('NOT_WELL_FORMED');
/** Beyond a limit. */
export const beyond = refusedAs('LIMIT');

export const accepts = (from: string, as: Reader, body: string | Buffer, gives: object, options: ParseOptions = {}): Row => ({
  ...{ kind: 'accepts', from, as, body, gives, options },
});
export const refuses = (
  from: string,
  as: Reader,
  body: string | Buffer,
  refusal: string,
  reason: RegExp,
  options: ParseOptions = {},
): Row => ({
  ...{ kind: 'refuses', from, as, body, refusal, reason, options },
});

export const int = (text: string | number): string => `<int>${text}</int>`;
export const i8 = (text: string): string => `<i8>${text}</i8>`;
export const double = (text: string): string => `<double>${text}</double>`;
export const string = (text: string): string => `<string>${text}</string>`;
export const boolean = (text: string): string => `<boolean>${text}</boolean>`;
export const date = (text: string): string => `<dateTime.iso8601>${text}</dateTime.iso8601>`;
export const base64 = (text: string): string => `<base64>${text}</base64>`;
export const array = (...inner: readonly string[]): string =>
  `<array><data>${inner.map((xml) => `<value>${xml}</value>`).join('')}</data></array>`;
export const member = (name: string, inner: string): string => `<member><name>${name}</name><value>${inner}</value></member>`;
export const struct = (...members: readonly (readonly [name: string, inner: string])[]): string =>
  `<struct>${members.map(([name, inner]) => member(name, inner)).join('')}</struct>`;

/** A decoded struct from alternating names and values. */
export function dict(...namesAndValues: readonly Value[]): Dict {
  const entries: [string, Value][] = [];
  for (let i = 0; i < namesAndValues.length; i += 2) entries.push([namesAndValues[i] as string, namesAndValues[i + 1]!]);
  return dictOf(entries);
}

/** The moment of an ISO 8601 text with its zone. */
export const utc = (iso: string): Date => new Date(iso);

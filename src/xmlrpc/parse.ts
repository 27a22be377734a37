/** Whole messages and structs from bytes or text to values: limits, decoding, scan, grammar and sink put together. */
import { RelayError } from '../message/message.ts';
import type { Dict, Value } from '../message/message.ts';
import { ValueBuilder } from './build-value.ts';
import { CanonicalWriter } from './canonical.ts';
import { decodeBody } from './decode.ts';
import { detached } from './detach.ts';
import { Grammar } from './grammar.ts';
import type { Sink } from './grammar.ts';
import { CALL, RESPONSE, STRUCT } from './grammar-table.ts';
import type { Rule } from './grammar-table.ts';
import { completeLimits } from './limits.ts';
import type { XmlRpcLimits } from './limits.ts';
import { refuse } from './refuse.ts';
import { scan } from './scan.ts';

/** Which extensions a message used, in either spelling. */
export interface Extensions {
  /** `<nil/>` or `<ex:nil/>`. */
  readonly nil: boolean;
  /** `<i8>`, `<ex:i8>` or `<ex:biginteger>`. */
  readonly i8: boolean;
}

/** What a body is read with. */
export interface ParseOptions {
  /** The charset parameter of the Content-Type. */
  charset?: string | undefined;
  limits?: Partial<XmlRpcLimits> | undefined;
}

/** A call as it came. */
export interface ParsedCall {
  readonly methodName: string;
  readonly params: readonly Value[];
  readonly extensions: Extensions;
  /**
   * The `<struct>…</struct>` of this call that `dict` was read from, exactly as it came. Undefined if `dict` is not of this call, or if
   * the call binds a namespace prefix of its own to the extensions, without which the text would mean something else.
   */
  sourceOf(dict: Dict): string | undefined;
}

/** A response as it came: a value, or a fault with its code and text. */
export type ParsedResponse =
  | { readonly kind: 'value'; readonly value: Value; readonly extensions: Extensions }
  | { readonly kind: 'fault'; readonly code: number; readonly text: string };

/** Reads the body of a call. */
export function parseCall(body: Uint8Array, options: ParseOptions = {}): ParsedCall {
  const limits = completeLimits(options.limits);
  const source = textOf(body, options.charset, limits);
  const builder = new ValueBuilder(limits, source.length);
  const grammar = read(CALL, source, builder, limits);
  const sourceOf = (dict: Dict): string | undefined => {
    const span = grammar.isEntangled ? undefined : builder.spans.get(dict);
    return span && detached(source.slice(span.from, span.to), source.length);
  };
  return { methodName: grammar.methodName, params: builder.roots, extensions: extensionsOf(grammar), sourceOf };
}

/** Reads the body of a response: exactly one parameter, or a fault of exactly an int faultCode and a string faultString. */
export function parseResponse(body: Uint8Array, options: ParseOptions = {}): ParsedResponse {
  const limits = completeLimits(options.limits);
  const source = textOf(body, options.charset, limits);
  const builder = new ValueBuilder(limits, source.length);
  const grammar = read(RESPONSE, source, builder, limits);
  const [value = null] = builder.roots;
  if (!grammar.isFault) return { kind: 'value', value, extensions: extensionsOf(grammar) };
  return faultOf(source, value, builder, limits);
}

/** Reads a text that is one `<struct>…</struct>`. */
export function parseStruct(source: string, limits?: Partial<XmlRpcLimits>): Dict {
  const complete = completeLimits(limits);
  const builder = new ValueBuilder(complete, source.length);
  read(STRUCT, bounded(source, complete), builder, complete);
  return builder.roots[0] as Dict;
}

/** The members of a text that is one `<struct>…</struct>`: name -> canonical `<value>…</value>`, in member order. */
export function canonicalMembers(source: string, limits?: Partial<XmlRpcLimits>): Map<string, string> {
  const complete = completeLimits(limits);
  const writer = new CanonicalWriter(complete);
  read(STRUCT, bounded(source, complete), writer, complete);
  return writer.members;
}

function read(start: Rule, source: string, sink: Sink, limits: Readonly<XmlRpcLimits>): Grammar {
  const grammar = new Grammar(start, source, sink, limits);
  scan(source, grammar, limits);
  return grammar;
}

// The values do not tell 6 from 6.0 or from an i8, the canonical text does.
function faultOf(source: string, value: Value, builder: ValueBuilder, limits: Readonly<XmlRpcLimits>): ParsedResponse {
  const span = builder.spans.get(value as Dict);
  if (!span) return refuse('INVALID_REQUEST', source, source.indexOf('<fault'), 'a fault is a struct');
  const { faultCode: code, faultString: text } = value as Dict;
  const members = canonicalMembers(source.slice(span.from, span.to), limits);
  const isInt = members.get('faultCode')?.startsWith('<value><int>') === true;
  if (members.size !== 2 || !isInt || typeof code !== 'number' || typeof text !== 'string') {
    return refuse('INVALID_REQUEST', source, span.from, 'a fault has exactly the members faultCode, an int, and faultString, a string');
  }
  return { kind: 'fault', code, text };
}

function textOf(body: Uint8Array, charset: string | undefined, limits: Readonly<XmlRpcLimits>): string {
  if (body.byteLength > limits.maxBodyBytes) tooLong(`${body.byteLength} bytes`, limits);
  return decodeBody(body, charset);
}

function bounded(source: string, limits: Readonly<XmlRpcLimits>): string {
  if (source.length > limits.maxBodyBytes) tooLong(`${source.length} characters`, limits);
  return source;
}

function tooLong(length: string, limits: Readonly<XmlRpcLimits>): never {
  throw new RelayError('LIMIT', `the body has ${length}; the limit is ${limits.maxBodyBytes}`);
}

function extensionsOf({ usesNil, usesI8 }: Grammar): Extensions {
  return { nil: usesNil, i8: usesI8 };
}

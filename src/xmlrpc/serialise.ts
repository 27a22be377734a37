/** Whole messages and structs as XML-RPC text: calls, responses, faults, and structs made of canonical and own members. */
import { RelayError } from '../message/message.ts';
import type { Sendable } from '../message/message.ts';
import { isMethodName } from './grammar.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { escapeCleaned } from './write-text.ts';
import { memberPlace, writeName, writeValue } from './write-value.ts';
import type { WriteOptions } from './write-value.ts';

// Tcl's reader needs the declaration.
const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';
const VALUE = '<value>'.length;

/** The body of a call; an error names the place of what cannot be sent: `params[0].data[3]: …`. */
export function serialiseCall(methodName: string, params: readonly Sendable[], options?: WriteOptions): Buffer {
  return call(
    methodName,
    params.map((value, index) => writeValue(value, `params[${index}]`, options)),
  );
}

/** The body of a call whose parameters are canonical XML already: each the inside of a `<value>`, as a struct's text is. */
export function serialiseCallWith(methodName: string, paramXml: readonly string[]): Buffer {
  return call(
    methodName,
    paramXml.map((xml) => `<value>${xml}</value>`),
  );
}

/** The body of a response; places in errors start with `result`. */
export function serialiseResponse(value: Sendable, options?: WriteOptions): Buffer {
  return bytes(`<methodResponse><params><param>${writeValue(value, 'result', options)}</param></params></methodResponse>`);
}

/** The body of a fault; never throws: a code that is no 32-bit integer becomes -32603, a character that XML cannot carry U+FFFD. */
export function serialiseFault(code: number, text: string): Buffer {
  const said: unknown = text;
  const number = (code | 0) === code ? code : -32603;
  const members =
    `<member><name>faultCode</name><value><int>${String(number | 0)}</int></value></member>` +
    `<member><name>faultString</name><value><string>${escapeCleaned(typeof said === 'string' ? said : 'the relay failed')}</string></value></member>`;
  return bytes(`<methodResponse><fault><value><struct>${members}</struct></value></fault></methodResponse>`);
}

/** `<struct>…</struct>` of a dict, object or Map; places in errors start with `struct`. */
export function serialiseStruct(dict: Sendable, options?: WriteOptions): string {
  const text = writeValue(dict, 'struct', options);
  if (!text.startsWith('<struct>', VALUE)) throw new RelayError('INTERNAL', 'struct: a struct is needed: a plain object or a Map');
  return text.slice(VALUE, -(VALUE + 1));
}

/**
 * `<struct>…</struct>` of `kept` (name -> `<value>…</value>`, as canonicalMembers gives them) with the members of `own` set:
 * in the place of a kept one of that name, else at the end. Only `own` is checked, and its errors start with `struct`.
 */
export function serialiseMembers(
  kept: ReadonlyMap<string, string>,
  own: Readonly<Record<string, Sendable>>,
  options?: WriteOptions,
): string {
  const members = new Map(kept);
  for (const name of Object.keys(own)) {
    members.set(name, writeValue(own[name], memberPlace('struct', name), options));
  }
  let text = '<struct>';
  for (const [name, value] of members) text += `<member>${writeName(name, 'struct')}${value}</member>`;
  return `${text}</struct>`;
}

function call(methodName: string, values: readonly string[]): Buffer {
  if (methodName.length > DEFAULT_LIMITS.maxNameLength || !isMethodName(methodName)) {
    throw new RelayError('INTERNAL', 'methodName: a method name is made of A-Z, a-z, 0-9, "_", ".", ":" and "/"');
  }
  const params = values.map((value) => `<param>${value}</param>`).join('');
  return bytes(`<methodCall><methodName>${methodName}</methodName><params>${params}</params></methodCall>`);
}

function bytes(root: string): Buffer {
  return Buffer.from(DECLARATION + root, 'utf8');
}

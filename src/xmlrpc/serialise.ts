/** Whole messages and structs as XML-RPC: calls, responses, faults, and calls with a struct of canonical and own members. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RelayError, joinInSlices } from '../core/core.ts';
import { memberPath } from '../values/values.ts';
import type { MaybePromise } from '../core/core.ts';
import type { Sendable } from '../values/values.ts';
import { releaseBuffer, tagOf, takeBuffer } from './byte-buffer.ts';
import type { ByteBuffer, Tag } from './byte-buffer.ts';
import { isMethodName } from './grammar.ts';
import { ownCopy } from './own-copy.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { NAME_PROBLEM, writeName } from './write-name.ts';
import type { WriteOptions } from './write-options.ts';
import { cleanUnsendable, pieceEnd, writeText } from './write-text.ts';
import { ValueWriter, writeValue } from './write-value.ts';

// Tcl's reader needs the declaration.
const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';
const CALL = tagOf(`${DECLARATION}<methodCall><methodName>`);
const PARAMS = tagOf('</methodName><params>');
const PARAM = tagOf('<param>');
const PARAM_END = tagOf('</param>');
const CALL_END = tagOf('</params></methodCall>');
const RESPONSE = tagOf(`${DECLARATION}<methodResponse><params><param>`);
const RESPONSE_END = tagOf('</param></params></methodResponse>');
const FAULT = tagOf(`${DECLARATION}<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>`);
const FAULT_STRING = tagOf('</int></value></member><member><name>faultString</name><value><string>');
const FAULT_END = tagOf('</string></value></member></struct></value></fault></methodResponse>');
const ONE_PARAM_END = '</param></params></methodCall>';
const MULTICALL_HEAD = `${DECLARATION}<methodCall><methodName>system.multicall</methodName><params><param><value><array><data>`;
const MULTICALL_END = '</data></array></value></member></struct></value>';
const MULTICALL_TAIL = '</data></array></value></param></params></methodCall>';
const STRUCT = tagOf('<value><struct>');
const STRUCT_END = tagOf('</struct></value>');
const MEMBER_END = tagOf('</member>');
const VALUE = '<value>'.length;
const STRUCT_START = Buffer.from('<struct>');
// The longest of a 32-bit integer.
const INT_ROOM = 11;
// A turn of the loop ends after so many bytes or milliseconds; the clock is looked at every `STEP_BYTES`, for code that runs for the first
// time is slow.
const TURN_BYTES = 512 * 1024;
const TURN_MS = 5;
const STEP_BYTES = 32 * 1024;
// What is copied at once.
const MAX_COPY_BYTES = 1024 * 1024;

/** The body of a call; an error names the place of what cannot be sent: `params[0].data[3]: …`. */
export function serialiseCall(methodName: string, params: readonly Sendable[], options?: WriteOptions): Buffer {
  return written((out) => {
    beginCall(out, methodName);
    for (const [index, value] of params.entries()) {
      put(out, PARAM);
      writeValue(out, value, `params[${index}]`, options);
      put(out, PARAM_END);
    }
    put(out, CALL_END);
    return out.copy();
  });
}

/**
 * The body of a call with one struct: `kept` (name -> `<value>…</value>`, as canonicalMembers gives them) with the members of `own` set,
 * each
 * in the place of a kept one of that name, else at the end. Only `own` is checked, and its errors start with `struct`.
 */
export function serialiseMembersCall(
  methodName: string,
  kept: ReadonlyMap<string, string>,
  own: Readonly<Record<string, Sendable>>,
  options: WriteOptions = {},
): Buffer {
  return written((out) => {
    beginCall(out, methodName);
    put(out, PARAM);
    put(out, STRUCT);
    const names = [...kept.keys(), ...Object.keys(own).filter((name) => !kept.has(name))];
    for (const [index, name] of names.entries()) {
      beginMember(out, name, index === 0, options);
      const xml = Object.hasOwn(own, name) ? undefined : kept.get(name);
      if (xml === undefined) writeValue(out, own[name], memberPath('struct', name), options);
      else out.utf8(xml);
    }
    if (names.length > 0) put(out, MEMBER_END);
    put(out, STRUCT_END);
    put(out, PARAM_END);
    put(out, CALL_END);
    return out.copy();
  });
}

/** The body of `system.multicall` that makes these written calls of `methodName`, each of one parameter. */
export function serialiseMulticall(methodName: string, calls: readonly Buffer[]): Buffer {
  const head = Buffer.from(`${DECLARATION}<methodCall><methodName>${methodName}</methodName><params><param>`);
  const end = Buffer.from(ONE_PARAM_END);
  const [before, after] = [Buffer.from(multicallStart(methodName)), Buffer.from(MULTICALL_END)];
  const parts: Buffer[] = [Buffer.from(MULTICALL_HEAD)];
  for (const call of calls) {
    if (!call.subarray(0, head.length).equals(head) || !call.subarray(-end.length).equals(end))
      throw new RelayError('INTERNAL', `a call of system.multicall is not a written call of ${methodName} with one parameter`);
    parts.push(before, call.subarray(head.length, -end.length), after);
  }
  return Buffer.concat([...parts, Buffer.from(MULTICALL_TAIL)]);
}

function multicallStart(methodName: string): string {
  const name = `<member><name>methodName</name><value><string>${methodName}</string></value></member>`;
  return `<value><struct>${name}<member><name>params</name><value><array><data>`;
}

/** The body of a response; places in errors start with `result`. */
export function serialiseResponse(value: Sendable, options?: WriteOptions): Buffer {
  return written((out) => {
    put(out, RESPONSE);
    writeValue(out, value, 'result', options);
    put(out, RESPONSE_END);
    return out.copy();
  });
}

/**
 * {@link serialiseResponse}, a small one at once, a large one in turns of a few milliseconds, so that it holds up nobody else. What its
 * owner changes in
 * `value` before the promise is settled may be in the answer, or make an error of it.
 */
export function serialiseResponseInTurns(value: Sendable, options: WriteOptions = {}): MaybePromise<Buffer> {
  const out = takeBuffer();
  let isOver = true;
  try {
    put(out, RESPONSE);
    const writer = new ValueWriter(out, value, 'result', options);
    isOver = writer.write(STEP_BYTES);
    if (!isOver) return restInTurns(out, writer);
    put(out, RESPONSE_END);
    return out.copy();
  } finally {
    if (isOver) releaseBuffer(out);
  }
}

async function restInTurns(out: ByteBuffer, writer: ValueWriter): Promise<Buffer> {
  try {
    while (!writeForATurn(out, writer)) await nextTurn();
    put(out, RESPONSE_END);
    return out.own() ?? (out.size <= MAX_COPY_BYTES ? out.copy() : await joinInSlices(out.parts()));
  } finally {
    releaseBuffer(out);
  }
}

/** The body of a fault; never throws: a code that is no 32-bit integer becomes -32603, a character that XML cannot carry U+FFFD. */
export function serialiseFault(code: number, text: string): Buffer {
  const said: unknown = text;
  const legal = cleanUnsendable(typeof said === 'string' ? said : 'the relay failed');
  return written((out) => {
    put(out, FAULT);
    out.reserve(INT_ROOM);
    out.int32(((code | 0) === code ? code : -32603) | 0);
    put(out, FAULT_STRING);
    for (let from = 0; from < legal.length; from = pieceEnd(legal, from)) writeText(out, legal.slice(from, pieceEnd(legal, from)), {});
    put(out, FAULT_END);
    return out.copy();
  });
}

/** `<struct>…</struct>` of a dict, object or Map; places in errors start with `struct`. */
export function serialiseStruct(dict: Sendable, options?: WriteOptions): string {
  return serialiseStructBytes(dict, options).toString('utf8');
}

/** {@link serialiseStruct} as UTF-8, in memory of its own. */
export function serialiseStructBytes(dict: Sendable, options?: WriteOptions): Buffer {
  return written((out) => {
    writeValue(out, dict, 'struct', options);
    const value = out.copy();
    if (!STRUCT_START.equals(value.subarray(VALUE, VALUE + STRUCT_START.length)))
      throw new RelayError('INTERNAL', 'struct: a struct is needed: a plain object or a Map');
    return ownCopy(value, VALUE, value.length - VALUE - 1);
  });
}

function written<T>(work: (out: ByteBuffer) => T): T {
  const out = takeBuffer();
  try {
    return work(out);
  } finally {
    releaseBuffer(out);
  }
}

function put(out: ByteBuffer, tag: Tag): void {
  out.reserve(tag.length);
  out.tag(tag);
}

function beginCall(out: ByteBuffer, methodName: string): void {
  if (methodName.length > DEFAULT_LIMITS.maxNameLength || !isMethodName(methodName)) {
    throw new RelayError('INTERNAL', 'methodName: a method name is made of A-Z, a-z, 0-9, "_", ".", ":" and "/"');
  }
  put(out, CALL);
  out.reserve(methodName.length);
  out.ascii(methodName);
  put(out, PARAMS);
}

function beginMember(out: ByteBuffer, name: string, isFirst: boolean, options: WriteOptions): void {
  if (writeName(out, name, isFirst, options)) return;
  throw new RelayError('INTERNAL', `${memberPath('struct', name)}: ${NAME_PROBLEM}`);
}

/** True if all is written. */
function writeForATurn(out: ByteBuffer, writer: ValueWriter): boolean {
  const maxSize = out.size + TURN_BYTES;
  const until = performance.now() + TURN_MS;
  do {
    if (writer.write(STEP_BYTES)) return true;
  } while (out.size < maxSize && performance.now() < until);
  return false;
}

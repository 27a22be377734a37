/** Writes whole messages and structs: calls, responses, faults, batches, and calls with one struct of forwarded members. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RelayError, joinInSlices, pieceEnd } from '../../core/core.ts';
import { memberPath } from '../../values/values.ts';
import type { MaybePromise } from '../../core/core.ts';
import type { Sendable } from '../../values/values.ts';
import { DEFAULT_LIMITS } from '../options.ts';
import type { WriteOptions } from '../options.ts';
import { isMethodName } from '../read/grammar.ts';
import { releaseBuffer, tagOf, takeBuffer } from './byte-buffer.ts';
import type { ByteBuffer, Tag } from './byte-buffer.ts';
import { NAME_PROBLEM, writeName } from './names.ts';
import { TEXT_PIECE, cleanUnsendable, writeText } from './text.ts';
import { ValueWriter, writeValue } from './values.ts';

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
const ONE_PARAM_END = Buffer.from('</param></params></methodCall>');
const MULTICALL_HEAD = Buffer.from(
  `${DECLARATION}<methodCall><methodName>system.multicall</methodName><params><param><value><array><data>`,
);
const MULTICALL_END = '</data></array></value></member></struct></value>';
const MULTICALL_TAIL = Buffer.from('</data></array></value></param></params></methodCall>');
const STRUCT = tagOf('<value><struct>');
const STRUCT_END = tagOf('</struct></value>');
const MEMBER_END = tagOf('</member>');
const VALUE_START = tagOf('<value>');
const VALUE_END_LENGTH = '</value>'.length;
const LAST_MEMBER_END = '</member></struct>'.length;
// All other limits of reading apply to writing, too.
const READABLE_BYTES = Math.min(
  DEFAULT_LIMITS.maxMembers * '<member><name></name><value><nil/></value></member>'.length,
  DEFAULT_LIMITS.maxValues * '<value><nil/></value>'.length,
);
// The longest 32-bit integer.
const INT_BYTES = 11;
// One turn of the event loop writes this many bytes or milliseconds. The clock is read every `STEP_BYTES`, since cold code is slow.
const TURN_BYTES = 512 * 1024;
const TURN_MS = 5;
const STEP_BYTES = 32 * 1024;
// Bytes that are copied without a pause.
const MAX_COPY_BYTES = 1024 * 1024;

/** The body of a call. Throws a RelayError with the path of a value that cannot be sent: `params[0].data[3]: …`. */
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
 * The body of a call with one struct: the members of `kept` (name -> canonical `<value>…</value>`) and `own`. A member of `own` replaces a
 * kept one with its name, or is appended. Only `own` is checked, and paths in its errors start with `struct`.
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

/**
 * The body of a call with one struct: that of {@link serialiseStructBytes}, which has at least one member and none with the name of one in
 * `own`, followed by `own`. Paths in errors start with `struct`.
 */
export function serialiseStructCall(methodName: string, struct: Buffer, own: Readonly<Record<string, Sendable>>): Buffer {
  return written((out) => {
    beginCall(out, methodName);
    put(out, PARAM);
    put(out, VALUE_START);
    // Up to the end of the last member, which the next one ends.
    out.raw(struct, 0, struct.length - LAST_MEMBER_END);
    for (const [name, value] of Object.entries(own)) {
      beginMember(out, name, false, {});
      writeValue(out, value, memberPath('struct', name));
    }
    put(out, MEMBER_END);
    put(out, STRUCT_END);
    put(out, PARAM_END);
    put(out, CALL_END);
    return out.copy();
  });
}

/** The body of a `system.multicall` of the given calls, which are bodies of calls of `methodName` with one parameter each. */
export function serialiseMulticall(methodName: string, calls: readonly Buffer[]): Buffer {
  const head = Buffer.from(`${DECLARATION}<methodCall><methodName>${methodName}</methodName><params><param>`);
  const [before, after] = [Buffer.from(multicallStart(methodName)), Buffer.from(MULTICALL_END)];
  const around = before.length + after.length - head.length - ONE_PARAM_END.length;
  const size = calls.reduce((sum, call) => sum + call.length + around, MULTICALL_HEAD.length + MULTICALL_TAIL.length);
  const body = Buffer.allocUnsafe(size);
  let at = MULTICALL_HEAD.copy(body);
  // Without a view of each part: a batch has a thousand calls.
  for (const call of calls) {
    const end = call.length - ONE_PARAM_END.length;
    if (
      end < head.length ||
      call.compare(head, 0, head.length, 0, head.length) !== 0 ||
      call.compare(ONE_PARAM_END, 0, undefined, end) !== 0
    )
      throw new RelayError('INTERNAL', `system.multicall: not a body of a call of ${methodName} with one parameter`);
    at += before.copy(body, at);
    at += call.copy(body, at, head.length, end);
    at += after.copy(body, at);
  }
  MULTICALL_TAIL.copy(body, at);
  return body;
}

function multicallStart(methodName: string): string {
  const name = `<member><name>methodName</name><value><string>${methodName}</string></value></member>`;
  return `<value><struct>${name}<member><name>params</name><value><array><data>`;
}

/** The body of a response. Paths in errors start with `result`. */
export function serialiseResponse(value: Sendable, options?: WriteOptions): Buffer {
  return written((out) => {
    put(out, RESPONSE);
    writeValue(out, value, 'result', options);
    put(out, RESPONSE_END);
    return out.copy();
  });
}

/**
 * Like {@link serialiseResponse}, but writes a large response in turns of a few milliseconds, so that it does not block other work. Changes
 * to `value` before the promise settles may appear in the response or cause an error.
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

/**
 * The body of a fault. Never throws: a code that is not a 32-bit integer becomes -32603, and characters that XML cannot represent become
 * U+FFFD.
 */
export function serialiseFault(code: number, text: string): Buffer {
  const unchecked: unknown = text;
  const legal = cleanUnsendable(typeof unchecked === 'string' ? unchecked : 'the relay failed');
  return written((out) => {
    put(out, FAULT);
    out.reserve(INT_BYTES);
    out.int32(((code | 0) === code ? code : -32603) | 0);
    put(out, FAULT_STRING);
    for (let from = 0, to; from < legal.length; from = to) {
      to = pieceEnd(legal, from, TEXT_PIECE);
      writeText(out, legal.slice(from, to), {});
    }
    put(out, FAULT_END);
    return out.copy();
  });
}

/** `<struct>…</struct>` for a dict, plain object or Map. Paths in errors start with `struct`. */
export function serialiseStruct(dict: Sendable, options?: WriteOptions): string {
  return serialiseStructBytes(dict, options).toString('utf8');
}

/** Like {@link serialiseStruct}, as UTF-8 in memory of its own. */
export function serialiseStructBytes(dict: Sendable, options?: WriteOptions): Buffer {
  return writeStruct(dict, options).source;
}

/** A struct as it was written. */
export interface WrittenStruct {
  /** `<struct>…</struct>` as UTF-8, in memory of its own. */
  readonly source: Buffer;
  /** The names of its members. */
  readonly names: readonly string[];
  /** True if it can certainly be read; a larger one may have too many members or values. */
  readonly isReadable: boolean;
}

/** Like {@link serialiseStructBytes}, with the names of the members that were written. */
export function writeStruct(dict: Sendable, options: WriteOptions = {}): WrittenStruct {
  return written((out) => {
    const writer = new ValueWriter(out, dict, 'struct', options);
    writer.writeAll();
    const { names } = writer;
    if (!names) throw new RelayError('INTERNAL', 'struct: expected a plain object or a Map');
    const source = out.ownCopy(VALUE_START.length, out.size - VALUE_END_LENGTH);
    return { source, names, isReadable: source.length <= READABLE_BYTES };
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
    throw new RelayError('INTERNAL', 'methodName: a method name consists of A-Z, a-z, 0-9, "_", ".", ":" and "/"');
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

/** Writes for one turn; true once everything is written. */
function writeForATurn(out: ByteBuffer, writer: ValueWriter): boolean {
  const maxSize = out.size + TURN_BYTES;
  const until = performance.now() + TURN_MS;
  do {
    if (writer.write(STEP_BYTES)) return true;
  } while (out.size < maxSize && performance.now() < until);
  return false;
}

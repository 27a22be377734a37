/** Example lines that call a method from a shell, Python and TypeScript, with sample values by type. Pure. */
import { quoted } from '../core/core.ts';
import { writeJson } from '../json/json.ts';
import type { Sendable } from '../values/values.ts';
import type { MethodDescription } from '../rpc/rpc.ts';
import { serialiseCall } from '../xmlrpc/xmlrpc.ts';

/** One line for each. */
export interface CallExamples {
  /** curl with JSON. */
  readonly json: string;
  readonly python: string;
  /** The command `co2`. */
  readonly co2: string;
  readonly typescript: string;
  /** curl with XML-RPC. */
  readonly curl: string;
}

interface Sample {
  readonly value: Sendable;
  readonly python: string;
  readonly typescript: string;
}

const WHOLE: Sample = { value: 2, python: '2', typescript: '2' };
const TEXT: Sample = { value: 'hello', python: "'hello'", typescript: "'hello'" };
const SAMPLES: ReadonlyMap<string, Sample> = new Map([
  ['int', WHOLE],
  ['i4', WHOLE],
  ['i8', WHOLE],
  ['boolean', { value: true, python: 'True', typescript: 'true' }],
  ['double', { value: 1.5, python: '1.5', typescript: '1.5' }],
  ['array', { value: [1, 2], python: '[1, 2]', typescript: '[1, 2]' }],
  ['nil', { value: null, python: 'None', typescript: 'null' }],
  // A dict of co2 must have the member data.
  ['struct', { value: { data: 'hello' }, python: "{'data': 'hello'}", typescript: "{ data: 'hello' }" }],
  ['base64', { value: Buffer.from('hello'), python: "xmlrpc.client.Binary(b'hello')", typescript: "Buffer.from('hello')" }],
  ['dateTime.iso8601', { value: new Date(0), python: "xmlrpc.client.DateTime('19700101T00:00:00')", typescript: 'new Date(0)' }],
]);
// A method name that can be sent.
const WIRE_NAME = /^[A-Za-z0-9_.:/]{1,255}$/;
const PYTHON_NAME = /^[A-Za-z][A-Za-z0-9_]*$/;
const PYTHON_KEYWORDS: ReadonlySet<string> = new Set(
  (
    'False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda ' +
    'nonlocal not or pass raise return try while with yield'
  ).split(' '),
);
const PLAIN_WORD = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** How `method` is called in its first way at the relay `origin`; undefined for a name that cannot be called remotely. */
export function callExamples(
  { name, signatures }: Pick<MethodDescription, 'name' | 'signatures'>,
  origin: string,
): CallExamples | undefined {
  if (!canBeCalled(name)) return undefined;
  const samples = (signatures?.[0] ?? []).slice(1).map(sampleOf);
  const nil = samples.some(({ value }) => value === null);
  const values = samples.map(({ value }) => value);
  const python = samples.map((sample) => sample.python).join(', ');
  const typescript = samples.map((sample) => sample.typescript).join(', ');
  const url = `${origin}/RPC2`;
  const server = `xmlrpc.client.ServerProxy(${quoted(url)}${nil ? ', allow_none=True' : ''})`;
  const client = `createClient(${quoted(url)}${nil ? ', { send: { nil: true } }' : ''})`;
  return {
    json: jsonCurlLine(name, writeJson(values, 'the sample'), origin),
    python: `import xmlrpc.client; print(${pythonMethod(server, name)}(${python}))`,
    co2: ['co2 call --url', shellWord(origin), name, ...values.map(co2Argument)].join(' '),
    typescript: `import { createClient } from 'co2-relay/client'; console.log(await ${client}.call(${quoted(name)}, [${typescript}]));`,
    curl: curlLine(Buffer.from(serialiseCall(name, values, { nil })).toString(), url),
  };
}

/** True for a name that can be sent over the wire. */
export function canBeCalled(name: string): boolean {
  return WIRE_NAME.test(name);
}

/** A value of this type as JSON. */
export function sampleJson(type: string): string {
  return writeJson(sampleOf(type).value, 'the sample');
}

function sampleOf(type: string): Sample {
  return SAMPLES.get(type) ?? TEXT;
}

function pythonMethod(server: string, name: string): string {
  const isSpelt = name.split('.').every((part) => PYTHON_NAME.test(part) && !PYTHON_KEYWORDS.has(part));
  return isSpelt ? `${server}.${name}` : `getattr(${server}, ${quoted(name)})`;
}

/** The command parses an argument as JSON, and takes anything else for a string. */
function co2Argument(value: Sendable): string {
  return shellWord(typeof value === 'string' ? value : writeJson(value, 'the sample'));
}

/** A line that posts an XML body. */
export function curlLine(body: string, url: string): string {
  return `curl -H 'Content-Type: text/xml' -d ${shellQuoted(body)} ${shellWord(url)}`;
}

/** A line that calls a method by the JSON endpoint; `params` is a JSON list. */
export function jsonCurlLine(name: string, params: string, origin: string): string {
  return `curl -H 'Content-Type: application/json' -d ${shellQuoted(params)} ${shellWord(`${origin}/api/${encodeURIComponent(name)}`)}`;
}

/** A word of a POSIX shell, quoted where it must be. */
function shellWord(text: string): string {
  return PLAIN_WORD.test(text) ? text : shellQuoted(text);
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

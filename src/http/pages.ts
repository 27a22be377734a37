/** The page of a GET request as text and as JSON: what this relay is and what can be called. Pure. */
import { Double } from '../values/values.ts';
import { clean } from '../core/core.ts';
import type { MethodDescription } from '../rpc/rpc.ts';
import type { Overview, Properties, pluginOnWire, recordOnWire } from '../relay/relay.ts';
import { callExamples, curlLine, jsonCurlLine } from './call-examples.ts';

/** What a page shows: only what its reader has the rights for. */
export interface PageContent {
  readonly properties?: Properties;
  readonly methods?: readonly MethodDescription[];
  /** The remote satellites. */
  readonly satellites?: readonly ReturnType<typeof recordOnWire>[];
  /** The local plugins, with their states. */
  readonly plugins?: readonly ReturnType<typeof pluginOnWire>[];
  /** The nodes of the mesh, this relay included. */
  readonly nodes?: readonly PageNode[];
  /** States without causes; in HTML only. */
  readonly overview?: Overview;
}

/** A node of the mesh. */
export interface PageNode {
  readonly node: string;
  readonly nick: string;
  /** `self`, `reachable`, `unreachable` or `left`. */
  readonly state: string;
  readonly version: string;
  /** 0 to 100. */
  readonly load: number;
  /** The nick of the first node on the way to it, and the ms and links of that way; undefined if there is none. */
  readonly way: { readonly hop: string; readonly cost: number; readonly links: number } | undefined;
  /** The number of methods that it offers. */
  readonly methods: number;
  /** The types of work that it offers. */
  readonly work: readonly string[];
  /** The round trip of a link to it, in ms. */
  readonly rtt: number | undefined;
  /** Messages that wait for it; undefined unless it is a neighbour, and the reader may know. */
  readonly waiting: number | undefined;
}

/** The URL of the reader, and how much to show. */
export interface PagePlace {
  /** `http://127.0.0.1:2004` */
  readonly origin: string;
  /** True if each method has example lines to copy; false on the overview. */
  readonly showsCalls: boolean;
}

const PING = '<methodCall><methodName>ping</methodName></methodCall>';
const JSON_UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** The page as text: properties, satellites, methods with help, and what to try next. */
export function textPage({ properties, methods, satellites }: PageContent, { origin, showsCalls }: PagePlace): string {
  const lines = ['co2-relay'];
  if (properties) lines.push('', ...Object.entries(properties).map(([name, value]) => `${show(name).padEnd(12)} ${show(value)}`));
  if (satellites) lines.push('', ...satelliteLines(satellites));
  if (methods) {
    lines.push('', `${methods.length} methods, called by POST ${origin}/RPC2 with Content-Type: text/xml`, '');
    for (const method of methods) lines.push(...methodLines(method, showsCalls ? origin : undefined));
  }
  lines.push(
    '',
    'Try:',
    `  ${jsonCurlLine('ping', '[]', origin)}`,
    `  ${curlLine(PING, `${origin}/RPC2`)}`,
    `  curl -H 'Accept: application/json' ${origin}/`,
  );
  if (!showsCalls) lines.push(`  curl ${origin}/RPC2      lines to copy for each method`);
  return `${lines.join('\n')}\n`;
}

/** One method as text, with example lines to copy. */
export function textMethod(method: MethodDescription, { origin }: PagePlace): string {
  return `${methodLines(method, origin).join('\n')}\n`;
}

/** The page as a JSON document. */
export function jsonPage({ properties, methods, satellites, plugins, nodes }: PageContent, { origin }: PagePlace): string {
  const page = {
    properties: properties && toJson(properties),
    methods: methods?.map((method) => ({ ...method, calls: callExamples(method, origin) })),
    satellites: satellites?.map(toJson),
    plugins: plugins?.map(toJson),
    nodes,
  };
  // Characters that could deceive a reader on a terminal are escaped.
  return JSON.stringify(page).replace(JSON_UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value as one line of sanitized text. */
export function show(value: unknown): string {
  return clean(inWords(value), Infinity);
}

function satelliteLines(satellites: NonNullable<PageContent['satellites']>): string[] {
  const lines = [`${satellites.length} remote satellites`];
  for (const { nick, addr, ...rest } of satellites) {
    lines.push('', `${show(nick)} at ${show(addr)}`);
    for (const [name, value] of Object.entries(rest)) lines.push(`    ${show(name).padEnd(12)} ${show(value)}`);
  }
  return lines;
}

/** With example lines to copy if `origin` is given. */
function methodLines(method: MethodDescription, origin: string | undefined): string[] {
  const { usage, help } = method;
  const texts = help === '' ? [] : help.split('\n').map((line) => `    ${line}`);
  const calls = origin === undefined ? undefined : callExamples(method, origin);
  const lines = [...usage.split('\n'), ...texts].map(show);
  return calls ? [...lines, ...Object.values(calls).map((line: string) => `    ${line}`), ''] : lines;
}

function inWords(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (Double.is(value)) return String(value.value);
  if (Array.isArray(value)) return value.length === 0 ? '(none)' : value.join(', ');
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([name, part]) => `${name} ${String(part)}`)
      .join(', ');
  }
  return value === '' ? '-' : String(value);
}

function toJson(struct: NonNullable<PageContent['properties']>): object {
  return Object.fromEntries(Object.entries(struct).map(([name, value]) => [name, plain(value)]));
}

function plain(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString();
  return Double.is(value) ? value.value : value;
}

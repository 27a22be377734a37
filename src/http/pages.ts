/** What a GET answers: what this relay is and what can be called here, as text for people or as JSON for programs. Pure. */
import { Double } from '../values/values.ts';
import { clean } from '../core/core.ts';
import type { MethodDescription, Relay, recordOnWire } from '../relay/relay.ts';
import { callLines, curlLine } from './call-examples.ts';

/** What a page shows: as much as its reader may read. */
export interface PageContent {
  readonly properties?: ReturnType<Relay['properties']>;
  readonly methods?: readonly MethodDescription[];
  /** Of the satellites elsewhere. */
  readonly satellites?: readonly ReturnType<typeof recordOnWire>[];
  /** Those here, with their states. */
  readonly plugins?: ReturnType<Relay['plugins']>;
}

/** Where the reader found us. */
export interface PagePlace {
  /** `http://127.0.0.1:2004` */
  readonly origin: string;
  /** True if each method has its lines to copy: not on a page that is to be taken in at a glance. */
  readonly showsCalls: boolean;
}

const PING = '<methodCall><methodName>ping</methodName></methodCall>';
const JSON_UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Properties, satellites and methods with help, and how to go on. */
export function textPage({ properties, methods, satellites }: PageContent, { origin, showsCalls }: PagePlace): string {
  const lines = ['co2-relay'];
  if (properties) lines.push('', ...Object.entries(properties).map(([name, value]) => `${show(name).padEnd(12)} ${show(value)}`));
  if (satellites) lines.push('', ...satelliteLines(satellites));
  if (methods) {
    lines.push('', `${methods.length} methods, called by POST ${origin}/RPC2 with Content-Type: text/xml`, '');
    for (const method of methods) lines.push(...methodLines(method, showsCalls ? origin : undefined));
  }
  lines.push('', 'Try:', `  ${curlLine(PING, `${origin}/RPC2`)}`, `  curl -H 'Accept: application/json' ${origin}/`);
  if (!showsCalls) lines.push(`  curl ${origin}/RPC2      lines to copy for each method`);
  return `${lines.join('\n')}\n`;
}

/** One method with its lines to copy. */
export function textMethod(method: MethodDescription, { origin }: PagePlace): string {
  return `${methodLines(method, origin).join('\n')}\n`;
}

/** The same as data, as the text of a JSON document. */
export function jsonPage({ properties, methods, satellites, plugins }: PageContent, { origin }: PagePlace): string {
  const page = {
    properties: properties && toJson(properties),
    methods: methods?.map((method) => ({ ...method, calls: callLines(method, `${origin}/RPC2`) })),
    satellites: satellites?.map(toJson),
    plugins: plugins?.map(toJson),
  };
  // Whoever looks at it on a terminal sees what it says.
  return JSON.stringify(page).replace(JSON_UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value in one line of harmless text. */
export function show(value: unknown): string {
  return clean(inWords(value), Infinity);
}

function satelliteLines(satellites: NonNullable<PageContent['satellites']>): string[] {
  const lines = [`${satellites.length} satellites elsewhere`];
  for (const { nick, addr, ...rest } of satellites) {
    lines.push('', `${show(nick)} at ${show(addr)}`);
    for (const [name, value] of Object.entries(rest)) lines.push(`    ${show(name).padEnd(12)} ${show(value)}`);
  }
  return lines;
}

/** With lines to copy if `origin` says for which server. */
function methodLines(method: MethodDescription, origin: string | undefined): string[] {
  const { usage, help } = method;
  const texts = help === '' ? [] : help.split('\n').map((line) => `    ${line}`);
  const calls = origin === undefined ? undefined : callLines(method, `${origin}/RPC2`);
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

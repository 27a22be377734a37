/** What a GET answers: what this relay is and what can be called here, as text for people or as JSON for programs. Pure. */
import { Double } from '../message/message.ts';
import type { MethodDescription, Relay, recordOnWire } from '../relay/relay.ts';

/** What a page shows: as much as its reader may read. */
export interface PageContent {
  readonly properties?: ReturnType<Relay['properties']>;
  readonly methods?: readonly MethodDescription[];
  /** Of the satellites elsewhere. */
  readonly satellites?: readonly ReturnType<typeof recordOnWire>[];
}

/** Properties, satellites and methods with help, and how to go on; `url` is where the reader found us. */
export function textPage({ properties, methods, satellites }: PageContent, url: string): string {
  const lines = ['co2-relay'];
  if (properties) lines.push('', ...Object.entries(properties).map(([name, value]) => `${name.padEnd(12)} ${show(value)}`));
  if (satellites) lines.push('', ...satelliteLines(satellites));
  if (methods) lines.push('', ...methodLines(methods, url));
  lines.push('', 'Try:', `  curl -H 'Content-Type: text/xml' -d '<methodCall><methodName>ping</methodName></methodCall>' ${url}RPC2`);
  lines.push(`  curl -H 'Accept: application/json' ${url}`, '');
  return lines.join('\n');
}

/** The same as data. */
export function jsonPage({ properties, methods, satellites }: PageContent): object {
  return { properties: properties && toJson(properties), methods, satellites: satellites?.map(toJson) };
}

function satelliteLines(satellites: NonNullable<PageContent['satellites']>): string[] {
  const lines = [`${satellites.length} satellites elsewhere`];
  for (const { nick, addr, ...rest } of satellites) {
    lines.push('', `${show(nick)} at ${show(addr)}`);
    for (const [name, value] of Object.entries(rest)) lines.push(`    ${name.padEnd(12)} ${show(value)}`);
  }
  return lines;
}

function methodLines(methods: NonNullable<PageContent['methods']>, url: string): string[] {
  const lines = [`${methods.length} methods, called by POST ${url}RPC2 with Content-Type: text/xml`, ''];
  for (const { usage, help } of methods) {
    lines.push(...usage.split('\n'));
    if (help !== '') lines.push(...help.split('\n').map((line) => `    ${line}`));
  }
  return lines;
}

function show(value: unknown): string {
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

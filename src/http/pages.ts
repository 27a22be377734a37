/** What a GET answers: what this relay is and what can be called here, as text for people or as JSON for programs. Pure. */
import type { MethodDescription, Relay } from '../relay/relay.ts';

/** All that a page shows. */
export interface PageContent {
  readonly properties: ReturnType<Relay['properties']>;
  readonly methods: readonly MethodDescription[];
}

/** Properties and methods with help, and how to go on; `url` is where the reader found us. */
export function textPage({ properties, methods }: PageContent, url: string): string {
  const lines = ['co2-relay', ''];
  for (const [name, value] of Object.entries(properties)) lines.push(`${name.padEnd(12)} ${show(value)}`);
  lines.push('', `${methods.length} methods, called by POST ${url}RPC2 with Content-Type: text/xml`, '');
  for (const { usage, help } of methods) {
    lines.push(...usage.split('\n'));
    if (help !== '') lines.push(...help.split('\n').map((line) => `    ${line}`));
  }
  lines.push('', 'Try:', `  curl -H 'Content-Type: text/xml' -d '<methodCall><methodName>ping</methodName></methodCall>' ${url}RPC2`);
  lines.push(`  curl -H 'Accept: application/json' ${url}`, '');
  return lines.join('\n');
}

/** The same as data. */
export function jsonPage({ properties, methods }: PageContent): object {
  return { properties: toJson(properties), methods };
}

function show(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.length === 0 ? '(none)' : value.join(', ');
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([name, part]) => `${name} ${String(part)}`)
      .join(', ');
  }
  return value === '' ? '-' : String(value);
}

function toJson(properties: PageContent['properties']): object {
  return Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, value instanceof Date ? value.toISOString() : value]));
}

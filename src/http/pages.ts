/** The page of a GET request: what this relay is and what can be called, as text, HTML or JSON. Pure. */
import { Double } from '../values/values.ts';
import { clean } from '../core/core.ts';
import type { MethodDescription } from '../rpc/rpc.ts';
import type { Properties, pluginOnWire, recordOnWire } from '../relay/relay.ts';
import { callExamples, curlLine } from './call-examples.ts';
import { createHash } from 'node:crypto';

/** What a page shows: only what its reader has the rights for. */
export interface PageContent {
  readonly properties?: Properties;
  readonly methods?: readonly MethodDescription[];
  /** The remote satellites. */
  readonly satellites?: readonly ReturnType<typeof recordOnWire>[];
  /** The local plugins, with their states. */
  readonly plugins?: readonly ReturnType<typeof pluginOnWire>[];
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
  lines.push('', 'Try:', `  ${curlLine(PING, `${origin}/RPC2`)}`, `  curl -H 'Accept: application/json' ${origin}/`);
  if (!showsCalls) lines.push(`  curl ${origin}/RPC2      lines to copy for each method`);
  return `${lines.join('\n')}\n`;
}

/** One method as text, with example lines to copy. */
export function textMethod(method: MethodDescription, { origin }: PagePlace): string {
  return `${methodLines(method, origin).join('\n')}\n`;
}

/** The page as a JSON document. */
export function jsonPage({ properties, methods, satellites, plugins }: PageContent, { origin }: PagePlace): string {
  const page = {
    properties: properties && toJson(properties),
    methods: methods?.map((method) => ({ ...method, calls: callExamples(method, `${origin}/RPC2`) })),
    satellites: satellites?.map(toJson),
    plugins: plugins?.map(toJson),
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
  const calls = origin === undefined ? undefined : callExamples(method, `${origin}/RPC2`);
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

const STYLE =
  'body{font:16px/1.5 sans-serif;max-width:60em;margin:1em auto;padding:0 1em}pre{overflow-x:auto;background:#8882;padding:.5em}' +
  'td,th{text-align:left;vertical-align:top;padding:0 1em 0 0}p{white-space:pre-line}:target{outline:2px solid}' +
  ':root{color-scheme:light dark}';

/** Headers that let a browser show the page with its own style, and nothing else. */
export const HTML_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; '),
  'referrer-policy': 'no-referrer',
};

const LANGUAGES = { curl: 'curl', python: 'Python', typescript: 'TypeScript' } as const;
const MARKS: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** The page as an HTML document. */
export function htmlPage({ properties, satellites, methods }: PageContent, { origin }: PagePlace): string {
  const parts: string[] = [];
  if (properties) parts.push('<h2>Properties</h2>', table(Object.entries(properties)));
  if (satellites) {
    parts.push(`<h2>${satellites.length} remote satellites</h2>`);
    for (const { nick, ...rest } of satellites) parts.push(`<h3>${escaped(show(nick))}</h3>`, table(Object.entries(rest)));
  }
  if (methods) {
    parts.push(`<h2>${methods.length} methods</h2>`, `<p>Called by POST ${escaped(origin)}/RPC2 with Content-Type: text/xml.</p>`);
    parts.push(`<ul>\n${methods.map(({ name }) => `<li><a href="#${encoded(name)}">${escaped(name)}</a></li>`).join('\n')}\n</ul>`);
    parts.push(...methods.map((method) => methodSection(method, origin)));
  }
  return documentOf('co2-relay', parts);
}

/** An HTML document about one method. */
export function htmlMethod(method: MethodDescription, { origin }: PagePlace): string {
  return documentOf(`${method.name} - co2-relay`, ['<p><a href="?">all methods</a></p>', methodSection(method, origin)]);
}

function methodSection(method: MethodDescription, origin: string): string {
  const { name, usage, help, access } = method;
  const lines = [
    `<section id="${encoded(name)}">`,
    `<h3><a href="?method=${encoded(name)}">${escaped(name)}</a></h3>`,
    `<pre>${escapedLines(usage)}</pre>`,
  ];
  if (help !== '') lines.push(`<p>${escapedLines(help)}</p>`);
  lines.push(`<p>Needs the right '${escaped(access)}'.</p>`);
  const calls = callExamples(method, `${origin}/RPC2`);
  if (calls) {
    const copyable = (['curl', 'python', 'typescript'] as const).map(
      (key) => `<h4>${LANGUAGES[key]}</h4>\n<pre>${escaped(calls[key])}</pre>`,
    );
    lines.push('<details open>', '<summary>call it</summary>', ...copyable, '</details>');
  }
  return [...lines, '</section>'].join('\n');
}

function table(rows: readonly (readonly [name: string, value: unknown])[]): string {
  const cells = rows.map(([name, value]) => `<tr><th>${escaped(name)}</th><td>${escaped(show(value))}</td></tr>`);
  return `<table>\n${cells.join('\n')}\n</table>`;
}

function documentOf(title: string, parts: readonly string[]): string {
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width">',
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    '<h1>co2-relay</h1>',
    ...parts,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

/** A name encoded for a link and its anchor; letters, digits, "_" and "." stay as they are. */
function encoded(name: string): string {
  // Lone surrogates cannot be encoded in a URL.
  return escaped(encodeURIComponent(Buffer.from(name).toString()));
}

function escapedLines(text: string): string {
  return text.split('\n').map(escaped).join('\n');
}

/** Escapes text for content and for quoted attributes. */
function escaped(text: string): string {
  return clean(text, Infinity).replace(/[&<>"']/g, (mark) => MARKS[mark] ?? '');
}

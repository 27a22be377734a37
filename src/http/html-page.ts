/** The page for a browser: the same as the text, with an anchor for each method and lines to copy; no script, nothing loaded from anywhere. Pure. */
import { createHash } from 'node:crypto';
import { clean } from '../core/core.ts';
import type { MethodDescription } from '../relay/relay.ts';
import { callLines } from './call-examples.ts';
import { show } from './pages.ts';
import type { PageContent, PagePlace } from './pages.ts';

const STYLE =
  'body{font:16px/1.5 sans-serif;max-width:60em;margin:1em auto;padding:0 1em}pre{overflow-x:auto;background:#8882;padding:.5em}' +
  'td,th{text-align:left;vertical-align:top;padding:0 1em 0 0}p{white-space:pre-line}:target{outline:2px solid}' +
  ':root{color-scheme:light dark}';

/** What a browser may do with the page: show it, with the style that it carries. */
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

/** A whole document; of `content` it shows what is there. */
export function htmlPage({ properties, satellites, methods }: PageContent, { origin }: PagePlace): string {
  const parts: string[] = [];
  if (properties) parts.push('<h2>Properties</h2>', table(Object.entries(properties)));
  if (satellites) {
    parts.push(`<h2>${satellites.length} satellites elsewhere</h2>`);
    for (const { nick, ...rest } of satellites) parts.push(`<h3>${escaped(show(nick))}</h3>`, table(Object.entries(rest)));
  }
  if (methods) {
    parts.push(`<h2>${methods.length} methods</h2>`, `<p>Called by POST ${escaped(origin)}/RPC2 with Content-Type: text/xml.</p>`);
    parts.push(`<ul>\n${methods.map(({ name }) => `<li><a href="#${encoded(name)}">${escaped(name)}</a></li>`).join('\n')}\n</ul>`);
    parts.push(...methods.map((method) => methodSection(method, origin)));
  }
  return documentOf('co2-relay', parts);
}

/** A document about one method. */
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
  const calls = callLines(method, `${origin}/RPC2`);
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

/** A name fit for a link and for the anchor that it leads to; names of letters, digits, "_" and "." as they are. */
function encoded(name: string): string {
  // Halves of surrogate pairs have no code in a URL.
  return escaped(encodeURIComponent(Buffer.from(name).toString()));
}

function escapedLines(text: string): string {
  return text.split('\n').map(escaped).join('\n');
}

/** Text as text, in content and in quoted attributes. */
function escaped(text: string): string {
  return clean(text, Infinity).replace(/[&<>"']/g, (mark) => MARKS[mark] ?? '');
}

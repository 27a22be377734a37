/** Renders the HTML page of a GET request: the relay, the state of its parts, and its methods with forms to call them. Pure. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { clean, durationText } from '../core/core.ts';
import type { MethodDescription } from '../rpc/rpc.ts';
import { callExamples, canBeCalled, sampleJson } from './call-examples.ts';
import { show } from './pages.ts';
import type { PageContent, PageNode, PagePlace } from './pages.ts';

const STYLE = readAsset('page.css');
const SCRIPT = readAsset('page.js');

/** Headers that restrict a browser to the page's own style and script; the script may call only this relay. */
export const HTML_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src '${hashOf(STYLE)}'`,
    `script-src '${hashOf(SCRIPT)}'`,
    "connect-src 'self'",
    'img-src data:',
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; '),
  'referrer-policy': 'no-referrer',
};

const EXAMPLES = { json: 'curl', python: 'Python', co2: 'co2', typescript: 'TypeScript', curl: 'curl with XML-RPC' } as const;
const FACTS: ReadonlyMap<string, string> = new Map([
  ['versions', 'Version'],
  ['start_time', 'Started'],
  ['uptime', 'Uptime'],
  ['maintainer', 'Maintainer'],
  ['max_satellites', 'Remote satellites at most'],
]);
// Other parts of the page show these fields.
const NO_FACTS: ReadonlySet<string> = new Set(['host', 'port', 'plugins', 'server_time']);
const GOOD: ReadonlySet<string> = new Set(['ready', 'busy', 'up', 'proven', 'self', 'reachable']);
const BAD: ReadonlySet<string> = new Set([
  'failed',
  'not-loaded',
  'backoff',
  'unresponsive',
  'down',
  'never reached',
  'one-way',
  'not ready',
  'unreachable',
  'too-far',
]);
// More rows would make the page slow; co2 nodes lists all.
const MAX_NODES = 100;
const SHORT_ID = 8;
/** Shown beside the state of a plugin whose current version does not run, while an older one does. */
const OLDER = 'older version';
// The maximum number of forms per method, one for each signature. The relay's own methods have at most three.
const MAX_FORMS = 4;
const MAX_BRIEF = 160;
// A form with its examples takes about 3 kB. If there are more methods, each has its form on a separate page.
const MAX_WITH_FORMS = 300;
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cg fill='%230a6e6e'%3E%3Ccircle cx='16' cy='16' r='6'/%3E%3Ccircle cx='4' cy='16' r='4'/%3E%3Ccircle cx='28' cy='16' r='4'/%3E%3C/g%3E%3C/svg%3E";
const MARKS: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Renders the page as an HTML document. */
export function htmlPage(content: PageContent, place: PagePlace): string {
  const { methods, overview } = content;
  const state = overview === undefined ? '' : `<a href="readyz">${badge(overview.isReady ? 'ready' : 'not ready')}</a>`;
  return documentOf('co2-relay', state, [
    ...(content.properties ? factsCard(content.properties, place) : []),
    '<div id="live">',
    ...stateCards(content),
    '</div>',
    ...(methods ? methodsCard(methods, place) : []),
  ]);
}

/** Renders an HTML document about one method. */
export function htmlMethod(method: MethodDescription, { origin }: PagePlace): string {
  return documentOf(`${method.name} - co2-relay`, '', [
    '<p><a href="?">All methods</a></p>',
    '<div class="card">',
    methodSection(method, { origin, isOpen: true, hasForms: true }),
    '</div>',
  ]);
}

function factsCard(properties: NonNullable<PageContent['properties']>, { origin }: PagePlace): string[] {
  const rows = Object.entries(properties)
    .filter(([name, value]) => !NO_FACTS.has(name) && value !== '')
    .map(([name, value]) => [FACTS.get(name) ?? name, name === 'uptime' ? durationText(Number(value) * 1000) : show(value)] as const);
  const facts = [['Address', `${origin}/`] as const, ...rows].map(
    ([name, value]) => `<div><dt>${escaped(name)}</dt><dd>${escaped(value)}</dd></div>`,
  );
  return [
    '<section class="card">',
    '<div class="heading"><h2>This relay</h2></div>',
    '<dl class="facts">',
    ...facts,
    '</dl>',
    '</section>',
  ];
}

/** Renders the part that changes while the relay runs. The script replaces it with the current state or with a live dashboard. */
function stateCards({ overview, plugins, satellites, nodes }: PageContent): string[] {
  const cards: string[] = [];
  if (overview) {
    const peers = overview.peers.map(({ name, state, session, node }) => [escaped(name), badge(state), badge(session), escaped(node)]);
    const none = 'This relay forwards to no other relay. List some in <code>peers</code>.';
    cards.push(...stateCard('Peers', ['Relay', 'State', 'Identity', 'Node'], peers, none));
    const known = new Map(plugins?.map((plugin) => [plugin.name, plugin]));
    const rows = overview.plugins.map(({ name, kind, state, isOlder }) => {
      const more = known.get(name);
      const cause = more
        ? [show(more.reason ?? ''), show(more.reload_error ?? ''), show(more.last_error ?? '')].find((text) => text !== '-')
        : undefined;
      const details = more ? [escaped(show(more.restarts)), escaped(show(more.waiting)), escaped(cause ?? '')] : [];
      return [
        `<a href="#plugin-${encoded(name)}">${escaped(name)}</a>`,
        escaped(kind),
        badge(state) + (isOlder ? ` ${badge(OLDER)}` : ''),
        ...details,
      ];
    });
    const headings = ['Name', 'Runs as', 'State', ...(plugins ? ['Restarts', 'Dicts waiting', 'Last error'] : [])];
    cards.push(...stateCard('Plugins', headings, rows, 'None. Save a file in the plugins directory.'));
  }
  if (nodes) cards.push(...nodesCard(nodes));
  if (satellites) {
    const rows = satellites.map(({ nick, addr, ping_current: ping, ping_fails: fails, ...rest }) => [
      escaped(show(nick)),
      escaped(Array.isArray(addr) ? addr.map(show).join(':') : show(addr)),
      badge(Number(fails) > 0 ? 'down' : 'up'),
      escaped(show(ping) === '-1' ? 'never' : `${show(ping)} ms`),
      escaped(show(rest.host_id)),
    ]);
    const title = satellites.length === 1 ? '1 remote satellite' : `${satellites.length} remote satellites`;
    const headings = ['Name', 'Address', 'State', 'Last ping', 'host_id'];
    cards.push(...stateCard(title, headings, rows, 'Programs on any machine join by <code>relay.register</code>.'));
  }
  if (cards.length === 0) return [];
  const refresh = '<button type="button" id="refresh" data-script hidden>Refresh</button>';
  return ['<section class="card">', `<div class="heading"><h2>State</h2>${refresh}</div>`, ...cards, '</section>'];
}

/** An empty group for a relay that is alone: the script replaces groups by their order. */
function nodesCard(nodes: readonly PageNode[]): string[] {
  if (nodes.length < 2) return ['<div class="group"></div>'];
  const showsWaiting = nodes.some(({ waiting }) => waiting !== undefined);
  const rows = nodes
    .slice(0, MAX_NODES)
    .map((node) => [
      escaped(node.nick),
      `<span title="${escaped(node.node)}">${escaped(node.node.slice(0, SHORT_ID))}…</span>`,
      badge(node.state),
      escaped(wayTo(node)),
      node.rtt === undefined ? '' : `${node.rtt.toFixed(1)} ms`,
      `${counted(node.methods, 'method')}${node.work.length === 0 ? '' : `, ${counted(node.work.length, 'type')} of work`}`,
      ...(showsWaiting ? [node.waiting === undefined ? '' : String(node.waiting)] : []),
    ]);
  const headings = ['Nick', 'Node', 'State', 'Way', 'Round trip', 'Offers', ...(showsWaiting ? ['Messages waiting'] : [])];
  const title = nodes.length > MAX_NODES ? `Nodes: the first ${MAX_NODES} of ${nodes.length}` : 'Nodes';
  return stateCard(title, headings, rows, '');
}

/** `a link, 5 ms` or `2 links by cellar, 10 ms`; empty if there is none. */
function wayTo({ way }: PageNode): string {
  if (!way) return '';
  return `${way.links === 1 ? 'a link' : `${way.links} links by ${way.hop}`}, ${way.cost} ms`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function stateCard(title: string, headings: readonly string[], rows: readonly (readonly string[])[], none: string): string[] {
  const body =
    rows.length === 0
      ? [`<p class="muted">${none}</p>`]
      : [
          '<div class="scroll"><table>',
          `<tr>${headings.map((heading) => `<th>${heading}</th>`).join('')}</tr>`,
          ...rows.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`),
          '</table></div>',
        ];
  return ['<div class="group">', `<h3>${title}</h3>`, ...body, '</div>'];
}

function methodsCard(methods: readonly MethodDescription[], { origin }: PagePlace): string[] {
  const look = { origin, hasForms: methods.length <= MAX_WITH_FORMS };
  const groups = new Map<string, MethodDescription[]>();
  const own: MethodDescription[] = [];
  for (const method of methods) {
    if (method.plugin === undefined) own.push(method);
    else groups.set(method.plugin, [...(groups.get(method.plugin) ?? []), method]);
  }
  const search =
    '<input type="search" id="search" class="search" placeholder="Search methods ( / )" aria-label="Search methods" data-script hidden>';
  return [
    '<section class="card">',
    `<div class="heading"><h2>${methods.length} methods</h2>${search}</div>`,
    `<p class="muted">Called by POST ${escaped(origin)}/api/METHOD with JSON, or by XML-RPC and JSON-RPC at ${escaped(origin)}/RPC2.</p>`,
    ...[...groups]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([plugin, list]) => methodGroup(plugin, `plugin-${plugin}`, list, { ...look, isOpen: true })),
    ...(own.length === 0 ? [] : methodGroup('Methods of the relay', 'relay-methods', own, { ...look, isOpen: groups.size === 0 })),
    '<p id="none" class="muted" hidden>No method matches.</p>',
    '</section>',
  ];
}

/** Options for showing methods. */
interface Look {
  readonly origin: string;
  readonly isOpen: boolean;
  /** Includes forms and examples to copy. */
  readonly hasForms: boolean;
}

function methodGroup(title: string, id: string, methods: readonly MethodDescription[], look: Look): string[] {
  const open = look.isOpen ? ' open data-open="yes"' : '';
  return [
    `<details class="group" id="${encoded(id)}"${open}>`,
    `<summary><h3>${escaped(title)}</h3><span class="muted">${methods.length}</span></summary>`,
    ...methods.map((method) => methodSection(method, { ...look, isOpen: false })),
    '</details>',
  ];
}

function methodSection(method: MethodDescription, { origin, isOpen, hasForms }: Look): string {
  const { name, usage, help, access, signatures } = method;
  const body: string[] = [`<pre>${escapedLines(usage)}</pre>`];
  if (help !== '') body.push(`<p class="help">${escapedLines(help)}</p>`);
  body.push(
    `<p class="muted">Needs the right '${escaped(access)}'. <a href="?method=${encoded(name)}">${hasForms ? 'Link to this method' : 'Call it'}</a></p>`,
  );
  if (hasForms && canBeCalled(name))
    body.push(...(signatures ?? [undefined]).slice(0, MAX_FORMS).map((signature) => callForm(method, signature)));
  const calls = hasForms ? callExamples(method, origin) : undefined;
  if (calls) {
    const lines = Object.entries(EXAMPLES).map(([key, label]) => example(label, calls[key as keyof typeof EXAMPLES]));
    body.push(`<details${isOpen ? ' open' : ''}><summary>Call it from a program</summary>`, ...lines, '</details>');
  }
  return [
    `<section class="method" id="${encoded(name)}" data-search="${escaped(`${name} ${help}`)}">`,
    `<details${isOpen ? ' open' : ''}>`,
    `<summary><code>${withBreaks(name)}</code> <span class="muted brief">${escaped(firstSentence(help))}</span></summary>`,
    '<div class="body">',
    ...body,
    '</div>',
    '</details>',
    '</section>',
  ].join('\n');
}

/** The first sentence, such as `Adds two integers.`, even if it spans several lines. */
function firstSentence(help: string): string {
  const [paragraph = ''] = help.split('\n\n', 1);
  const line = paragraph.replaceAll('\n', ' ');
  const end = line.search(/\.(?:\s|$)/);
  const sentence = end === -1 ? line : line.slice(0, end + 1);
  return sentence.length > MAX_BRIEF ? `${sentence.slice(0, MAX_BRIEF)}...` : sentence;
}

/** A name with a possible line break after each dot, for narrow screens. */
function withBreaks(name: string): string {
  return escaped(name).replaceAll('.', '.<wbr>');
}

function example(label: string, line: string): string {
  const copy = `<button type="button" data-script hidden aria-label="Copy the line for ${label}">Copy</button>`;
  return `<div class="example"><div><h4>${label}</h4>${copy}</div><pre>${escaped(line)}</pre></div>`;
}

/** The form for one signature of a method, with a field per parameter; without a signature, one field takes all parameters. */
function callForm({ name, paramNames }: MethodDescription, signature: readonly string[] | undefined): string {
  const label = (type: string, index: number): string =>
    escaped(paramNames[index] ? `${paramNames[index]}: ${type}` : `${index + 1}. ${type}`);
  const fields = signature
    ? signature.slice(1).map((type, index) => `<label><span class="muted">${label(type, index)}</span>${fieldFor(type)}</label>`)
    : [
        '<label><span class="muted">Parameters, a JSON list</span><textarea rows="2" data-type="params" spellcheck="false">[]</textarea></label>',
      ];
  return [
    `<form class="call" data-method="${escaped(name)}" data-script hidden>`,
    ...fields,
    '<div><button type="submit">Call</button></div>',
    '<output></output>',
    '</form>',
  ].join('\n');
}

function fieldFor(type: string): string {
  switch (type) {
    case 'int':
    case 'i4':
      return '<input data-type="int" inputmode="numeric" value="2" autocomplete="off">';
    case 'i8':
      return '<input data-type="i8" inputmode="numeric" value="2" autocomplete="off">';
    case 'double':
      return '<input data-type="double" inputmode="decimal" value="1.5" autocomplete="off">';
    case 'boolean':
      return '<input data-type="boolean" type="checkbox" checked>';
    case 'string':
      return '<textarea rows="1" data-type="string" spellcheck="false">hello</textarea>';
    case 'nil':
      return '<input data-type="nil" value="null" readonly>';
    case 'dateTime.iso8601':
      return '<input data-type="date" value="1970-01-01T00:00:00Z" autocomplete="off">';
    case 'base64':
      return '<input data-type="base64" value="aGVsbG8=" autocomplete="off">';
    default:
      return `<textarea rows="2" data-type="json" spellcheck="false">${escaped(sampleJson(type))}</textarea>`;
  }
}

function documentOf(title: string, state: string, parts: readonly string[]): string {
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(title)}</title>`,
    `<link rel="icon" href="${ICON}">`,
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    '<header>',
    `<h1><a href="?">co2-relay</a></h1>${state}`,
    '<form class="token" data-script hidden>',
    '<input type="password" placeholder="Token for more rights" title="admin.token in the state directory of the relay is one; co2 token create makes others" aria-label="Token" autocomplete="off"><button>Use</button>',
    '</form>',
    '<p class="lead">A relay of dicts and calls: what programs and plugins send here reaches all others, and each method can be called by XML-RPC or JSON.</p>',
    '<p class="message" role="alert"></p>',
    '</header>',
    '<main id="main">',
    ...parts,
    '</main>',
    '<footer>Without its script this page can be read, but calls nothing. <code>curl</code> gets it as text, and as JSON with <code>Accept: application/json</code>.</footer>',
    `<script>${SCRIPT}</script>`,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

/** The name of a state in its color. */
function badge(state: string): string {
  const kind = GOOD.has(state) ? ' good' : BAD.has(state) ? ' bad' : state === OLDER ? ' warning' : '';
  return `<span class="state${kind}">${escaped(state)}</span>`;
}

/** Reads a file of `web/`, which is next to `src/` and `dist/`. */
function readAsset(name: string): string {
  return readFileSync(new URL(`../../web/${name}`, import.meta.url), 'utf8');
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

/** Encodes a name for a link and its anchor; letters, digits, "_" and "." are unchanged. */
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

/** `co2 watch`: prints the dicts that pass through a relay and, for admins, the events of its plugins, satellites and links. */
import { clean, RelayError } from '../core/core.ts';
import { RemoteFault } from '../client/internal.ts';
import { isDict, isoText } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { nameOf } from './find-relay.ts';
import { withRelay } from './relay-connection.ts';
import type { TargetFlags } from './target.ts';
import { matchesPattern, paramsOf, structsOf, toJson, toText } from './values.ts';

/** The flags of `co2 watch`. */
export interface WatchFlags extends TargetFlags {
  readonly count?: number;
  readonly events?: boolean;
  readonly dicts?: boolean;
}

// A poll must end well before a call times out.
const WAIT_MS = 20_000;
const FORBIDDEN = 403;

/** Prints matching events until `count` is reached or the process is interrupted. Rejects like a call. */
export async function watch(filters: readonly string[], flags: WatchFlags): Promise<void> {
  const accepts = filterOf(filters);
  const { count = Infinity } = flags;
  let left = count;
  const end = new AbortController();
  const printer = (text: (item: Dict) => string, matches: (item: Dict) => boolean) => (item: Dict) => {
    if (left <= 0) return;
    if (!matches(item)) {
      // Nobody knows whether it would have matched.
      if (isHidden(item)) process.stderr.write(`co2: ${hiddenText(item)}\n`);
      return;
    }
    process.stdout.write(`${flags.json === true ? toJson(item, 0) : text(item)}\n`);
    if (--left <= 0) end.abort();
  };
  const dicts = (): Promise<void> => follow(flags, 'relay.watch', 'dicts', printer(dictLine, accepts), end.signal);
  const events = (): Promise<void> =>
    follow(
      flags,
      'relay.watch_events',
      'events',
      printer(eventLine, () => true),
      end.signal,
    ).catch((error: unknown) => {
      // Only admins may see these events. Without the flag they are optional, so a missing right is not an error.
      if (flags.events === true || !RemoteFault.is(error) || error.code !== FORBIDDEN) throw error;
    });
  // Filters apply only to dicts.
  const wantsEvents = flags.events ?? filters.length === 0;
  await Promise.race([
    Promise.all([...(flags.dicts === false ? [] : [dicts()]), ...(wantsEvents ? [events()] : [])]),
    new Promise<void>((resolve) => {
      end.signal.addEventListener('abort', () => {
        resolve();
      });
    }),
  ]);
}

async function follow(
  flags: TargetFlags,
  method: string,
  member: 'dicts' | 'events',
  print: (item: Dict) => void,
  end: AbortSignal,
): Promise<void> {
  await withRelay(flags, async (call, url) => {
    const timeoutMs = Math.floor(Math.min(WAIT_MS, flags.timeout * 500));
    let watch: Value = '';
    while (!end.aborted) {
      const answer: Value = await call(method, watch === '' ? {} : { watch, timeout_ms: timeoutMs });
      if (!isDict(answer) || typeof answer.watch !== 'string')
        throw new RelayError('TRANSPORT', `the server's response to ${method} is not a watch`);
      if (watch === '') process.stderr.write(`watching ${member} at ${nameOf(url)}\n`);
      ({ watch } = answer);
      const { missed, [member]: items } = answer;
      if (typeof missed === 'number' && missed > 0)
        process.stderr.write(`co2: missed ${missed} ${member}: more came than could be printed\n`);
      for (const item of structsOf(items)) print(item);
    }
  });
}

/** True if the dict has all these members: `topic=x data.chat.nick=ann`. A value with * is a pattern for strings. */
function filterOf(words: readonly string[]): (item: Dict) => boolean {
  const conditions = words.map((word) => {
    const at = word.indexOf('=');
    if (at < 1) throw new RelayError('CONFIG_INVALID', `'${clean(word, 60)}' is not a filter: write member=value, such as topic=x`);
    const text = word.slice(at + 1);
    return { path: word.slice(0, at).split('.'), text, wanted: textOf(paramsOf([text])[0]) };
  });
  return ({ dict }) =>
    conditions.every(({ path, text, wanted }) => {
      let value: Value | undefined = dict;
      for (const name of path) value = isDict(value) ? value[name] : undefined;
      if (value === undefined) return false;
      return text.includes('*') && typeof value === 'string' ? matchesPattern(value, text) : textOf(value) === wanted;
    });
}

/** Returns the same text for equal values: 1 and 1.0 are equal for a person. */
function textOf(value: Sendable | undefined): string {
  return value === undefined ? '' : toJson(value, 0).replace(/^(-?\d+)\.0$/, '$1');
}

/** Formats `10:15:02.123  ham.spam.Pong  {"data":...}`: the sender, and the members without those that relays add. */
function dictLine(item: Dict): string {
  const { at, sender, dict } = item;
  if (isHidden(item)) return `${timeOf(at)}  ${hiddenText(item)}`;
  const members = isDict(dict) ? Object.entries(dict) : [];
  const own = members.filter(([name]) => !['host_id', 'client_address', 'co2'].includes(name));
  const from = typeof sender === 'string' && sender !== '' ? sender : isDict(dict) ? toText(dict.host_id ?? '') : '';
  return `${timeOf(at)}  ${clean(from)}  ${toJson(Object.fromEntries(own), 0)}`;
}

/** True for a dict that the relay could not write for this command, such as one nested too deeply. */
function isHidden({ not_shown: reason }: Dict): boolean {
  return typeof reason === 'string';
}

function hiddenText({ id, sender, not_shown: reason }: Dict): string {
  const from = typeof sender === 'string' && sender !== '' ? ` of ${clean(sender)}` : '';
  return `dict ${clean(toText(id ?? ''), 100)}${from} cannot be shown: ${clean(toText(reason ?? ''), 300)}`;
}

function eventLine({ at, type, subject, state, reason }: Dict): string {
  const why = typeof reason === 'string' && reason !== '' ? `: ${clean(reason, 300)}` : '';
  return `${timeOf(at)}  [${toText(type ?? '')}] ${clean(toText(subject ?? ''))} ${clean(toText(state ?? ''))}${why}`;
}

function timeOf(at: Value | undefined): string {
  return at instanceof Date ? (isoText(at.getTime()) ?? '').slice(11).replace('Z', '') : '';
}

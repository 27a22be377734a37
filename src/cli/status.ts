/** `co2 status`: prints an overview of a relay; for other servers, it prints the result of their status method. */
import { setTimeout as sleep } from 'node:timers/promises';
import { durationText } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';
import { nameOf } from './find-relay.ts';
import { statusOf } from './introspection.ts';
import { withRelay } from './relay-connection.ts';
import type { TargetFlags } from './target.ts';
import { structOf, structsOf, textOf, toJson, toText } from './values.ts';

/** The flags of `co2 status`. */
export interface StatusFlags extends TargetFlags {
  readonly all?: boolean;
}

// The period over which rates are measured.
const SAMPLE_MS = 500;
const WELL: ReadonlySet<Value | undefined> = new Set(['ready', 'busy', 'starting', 'reloading']);
const COUNTERS = ['accepted', 'sent', 'duplicates', 'origin_refused', 'hop_limited'] as const;

/** Prints the status. Rejects like a call. */
export async function status({ all = false, ...flags }: StatusFlags): Promise<void> {
  const isScreen = !all && flags.json !== true;
  const { method, value, at, before } = await withRelay(flags, async (call, url) => {
    const first = await statusOf(call);
    if (!isScreen || first.method !== 'relay.get_status') return { ...first, at: nameOf(url), before: undefined };
    await sleep(SAMPLE_MS);
    return { ...first, value: await call(first.method), at: nameOf(url), before: first.value };
  });
  const isRelay = method === 'relay.get_status';
  if (flags.json === true) print(toJson(isRelay ? value : { answered: method, value }));
  else if (!isRelay) print(`${at} has no relay.get_status; result of ${method}:\n${toText(value)}`);
  else if (isScreen && isDict(value)) print(screen(at, value, isDict(before) ? before : value).join('\n'));
  else print(toText(value));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function screen(at: string, now: Dict, before: Dict): readonly string[] {
  const { versions, host_id: hostId, uptime, start_time: start, plugins_not_loaded: notLoaded } = now;
  const version = isDict(versions) ? textOf(versions.co2_relay) : '';
  return [
    `co2-relay ${version} at ${at}, host_id ${textOf(hostId)}`,
    `up ${durationText(numberOf(uptime) * 1000)}${start instanceof Date ? ` since ${toText(start)}` : ''}`,
    `dicts       ${dictsText(now.dicts, before.dicts)}`,
    ...section('peers', structsOf(now.peers).map(peerText)),
    ...section('mesh', meshText(structOf(now.mesh))),
    ...pluginLines(structsOf(now.plugins)),
    ...section('queues', structsOf(now.satellites).flatMap(queueText)),
    ...section('kept', structsOf(now.kept_messages).map(keptText)),
    ...section('work', workText(now.work)),
    ...section('recordings', recordingsText(structsOf(now.recordings))),
    ...section('services', servicesText(structsOf(now.services))),
    ...notLoadedLine(numberOf(notLoaded), structsOf(now.plugins)),
  ];
}

function dictsText(now: Value | undefined, before: Value | undefined): string {
  const [counts, earlier] = [isDict(now) ? now : {}, isDict(before) ? before : {}];
  const rate = (name: string): string => {
    const perSecond = ((numberOf(counts[name]) - numberOf(earlier[name])) * 1000) / SAMPLE_MS;
    return name === 'accepted' || name === 'sent' ? ` (${perSecond}/s)` : '';
  };
  return COUNTERS.map((name) => `${numberOf(counts[name])} ${name.replace('_', ' ')}${rate(name)}`).join(', ');
}

function peerText({ peer, state, down_ms: downMs, waiting, forwarded, refused, dropped, last_error: error, ...more }: Dict): string {
  const since = numberOf(downMs) > 0 ? ` since ${durationText(numberOf(downMs))}` : '';
  const counts = [
    `${numberOf(forwarded)} forwarded`,
    ...some(waiting, 'waiting'),
    ...some(refused, 'refused'),
    ...some(dropped, 'dropped'),
  ];
  const why = since === '' || textOf(error) === '' ? '' : `: ${textOf(error)}`;
  return `${textOf(peer)}  ${textOf(state)}${since}${identityText(more)}, ${counts.join(', ')}${why}`;
}

/** `, proven b (xeb3jf4y…)`; nothing for a relay of an older version, which does not say. */
function identityText({ session, nick, node, trusts_us: trustsUs, reason }: Dict): string {
  if (session === 'classic') return ', trusted by address';
  if (session !== 'proven') return '';
  const doubt = trustsUs === true ? '' : `, does not trust us (${textOf(reason)})`;
  return `, proven ${textOf(nick)} (${textOf(node).slice(0, 8)}…)${doubt}`;
}

function pluginLines(plugins: readonly Dict[]): readonly string[] {
  const unwell = plugins.filter(({ state, reload_error: why }) => !WELL.has(state) || textOf(why) !== '');
  if (unwell.length === 0) return [`plugins     ${plugins.length === 0 ? 'none' : `${plugins.length}, all well`}`];
  return [
    `plugins     ${plugins.length - unwell.length} of ${plugins.length} are well; not well:`,
    ...unwell.map(({ name, state, reason, last_error: error, reload_error: reloadError }) => {
      if (WELL.has(state)) return `  ${textOf(name)}  runs an older version: ${textOf(reloadError)}`;
      const why = textOf(reason) === '' ? textOf(error) : textOf(reason);
      return `  ${textOf(name)}  ${textOf(state)}${why === '' ? '' : `: ${why}`}`;
    }),
  ];
}

/** Counts the files and classes that do not run and belong to no plugin that is listed as not loaded. */
function notLoadedLine(count: number, plugins: readonly Dict[]): readonly string[] {
  const others = count - plugins.filter(({ state }) => state === 'not-loaded').length;
  return others > 0
    ? [`not loaded  ${others === 1 ? '1 file or class' : `${others} files or classes`}; the log of the relay says why`]
    : [];
}

/** Lists the satellites with queued or lost messages. */
function queueText({ name, waiting, oldest_ms: oldestMs, failed, dropped }: Dict): readonly string[] {
  const parts = [...some(waiting, 'waiting'), ...some(failed, 'failed'), ...some(dropped, 'dropped')];
  if (parts.length === 0) return [];
  const age = numberOf(waiting) > 0 ? `, the oldest for ${durationText(numberOf(oldestMs))}` : '';
  return [`${textOf(name)}  ${parts.join(', ')}${age}`];
}

/** What is stored for a durable satellite that is gone. */
function keptText({ satellite, waiting, drop_in_ms: dropInMs }: Dict): string {
  return `${textOf(satellite)}  not there any more, ${numberOf(waiting)} waiting, dropped in ${durationText(numberOf(dropInMs))}`;
}

/** `3 nodes, 1 reachable, 1 unreachable, 5 messages kept (co2 outbox)`; nothing for a relay that is alone. */
function meshText({ nodes, reachable, unreachable, kept }: Dict): readonly string[] {
  if (numberOf(nodes) < 2) return [];
  const messages = numberOf(kept) > 0 ? [`${numberOf(kept)} ${kept === 1 ? 'message' : 'messages'} kept (co2 outbox)`] : [];
  return [[`${numberOf(nodes)} nodes`, ...some(reachable, 'reachable'), ...some(unreachable, 'unreachable'), ...messages].join(', ')];
}

/** `1 running, 3 pending, 12 kept`; nothing without units. */
function workText(work: Value | undefined): readonly string[] {
  if (!isDict(work)) return [];
  const parts = [...some(structsOf(work.running).length, 'running'), ...some(work.pending, 'pending'), ...some(work.kept, 'kept')];
  return parts.length === 0 ? [] : [parts.join(', ')];
}

/** `2 recording, 120 frames; others: ham.spam:record failed (the sensor is gone)`. */
function recordingsText(recordings: readonly Dict[]): readonly string[] {
  const frames = recordings.reduce((sum, recording) => sum + numberOf(recording.frames), 0);
  return summaryText(recordings, 'recording', `${frames} frames`);
}

/** `2 running, 3 up, 1 down`. */
function servicesText(services: readonly Dict[]): readonly string[] {
  const sum = (member: 'up' | 'down'): number => services.reduce((total, service) => total + numberOf(service[member]), 0);
  return summaryText(services, 'running', `${sum('up')} up, ${sum('down')} down`);
}

/** Counts those in the usual state, and names the others with their reasons. */
function summaryText(all: readonly Dict[], usual: string, counts: string): readonly string[] {
  if (all.length === 0) return [];
  const others = all.filter(({ state }) => state !== usual);
  const named = others.map(({ name, state, reason }) => {
    const why = textOf(reason);
    return `${textOf(name)} ${textOf(state)}${why === '' ? '' : ` (${why})`}`;
  });
  return [`${all.length - others.length} ${usual}, ${counts}${named.length === 0 ? '' : `; others: ${named.join(', ')}`}`];
}

function section(title: string, lines: readonly string[]): readonly string[] {
  const [first, ...more] = lines;
  return first === undefined ? [] : [`${title.padEnd(12)}${first}`, ...more.map((line) => `${' '.repeat(12)}${line}`)];
}

function some(count: Value | undefined, what: string): readonly string[] {
  return numberOf(count) > 0 ? [`${numberOf(count)} ${what}`] : [];
}

function numberOf(value: Value | undefined): number {
  return typeof value === 'number' ? value : 0;
}

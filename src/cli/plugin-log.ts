/** `co2 log`: prints the latest log lines of a relay and its plugins, and follows new ones. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';
import { withRelay } from './relay-connection.ts';
import type { Call } from './relay-connection.ts';
import type { TargetFlags } from './target.ts';
import { toJson, toText } from './values.ts';

interface LogFlags extends TargetFlags {
  readonly follow?: boolean;
  readonly lines: number;
}

// How long to wait before a plugin is asked for new lines again.
const FOLLOW_MS = 500;
// How long the relay may wait for a line of its whole log.
const WAIT_MS = 25_000;
// The number of lines that a relay keeps.
const MAX_LINES = 500;

/** Prints the lines of one plugin, or of the relay and all plugins; with `follow`, it prints new lines until interrupted. */
export async function showLog(name: string | undefined, { follow = false, lines: count, ...flags }: LogFlags): Promise<void> {
  const isJson = flags.json === true;
  await withRelay(flags, async (call) => {
    const first = await linesAfter(call, name, { count, since: 0, waitMs: 0 });
    if (!follow) {
      process.stdout.write(`${isJson ? toJson(first) : first.map(lineText).join('\n') || '(none)'}\n`);
      return;
    }
    let since = 0;
    for (let lines = first; ; lines = await linesAfter(call, name, { count: MAX_LINES, since, waitMs: WAIT_MS })) {
      for (const line of lines) process.stdout.write(`${isJson ? toJson(line, 0) : lineText(line)}\n`);
      const last = lines.at(-1)?.number;
      if (typeof last === 'number') since = last;
      if (name !== undefined) await sleep(FOLLOW_MS);
    }
  });
}

async function linesAfter(
  call: Call,
  plugin: string | undefined,
  { count, since, waitMs }: { readonly count: number; readonly since: number; readonly waitMs: number },
): Promise<readonly Dict[]> {
  return dictsIn(plugin === undefined ? await call('relay.get_log', count, since, waitMs) : await call('plugin.log', plugin, count, since));
}

function dictsIn(value: Value): readonly Dict[] {
  return Array.isArray(value) ? value.filter((one: Value): one is Dict => isDict(one)) : [];
}

function lineText({ at, level, text, category }: Dict): string {
  const name = typeof category === 'string' ? `${toText(category)}  ` : '';
  return `${toText(at ?? '')} ${toText(level ?? '').padEnd(5)} ${name}${toText(text ?? '')}`;
}

/** `co2 log`: prints the latest log lines of plugins, and follows new ones. */
import { setTimeout as sleep } from 'node:timers/promises';
import { dictOf, isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';
import { withRelay } from './relay-connection.ts';
import type { Call } from './relay-connection.ts';
import type { TargetFlags } from './target.ts';
import { toJson, toText } from './values.ts';

interface LogFlags extends TargetFlags {
  readonly follow?: boolean;
  readonly lines: number;
}

const FOLLOW_MS = 500;
// The number of lines that a relay keeps per plugin.
const MAX_LINES = 500;

/** Prints the lines of one plugin, or of all plugins sorted by time; with `follow`, it prints new lines until interrupted. */
export async function showLog(name: string | undefined, { follow, lines: count, ...flags }: LogFlags): Promise<void> {
  await withRelay(flags, async (call) => {
    const since = new Map<string, number>();
    for (let wanted = count; ; wanted = MAX_LINES) {
      const found: Dict[] = [];
      for (const plugin of name === undefined ? await pluginNames(call) : [name]) {
        const lines = dictsIn(await call('plugin.log', plugin, wanted, since.get(plugin) ?? 0));
        const last = lines.at(-1)?.number;
        if (typeof last === 'number') since.set(plugin, last);
        for (const line of lines) found.push(name === undefined ? dictOf([...Object.entries(line), ['plugin', plugin]]) : line);
      }
      const lines = name === undefined ? found.sort((a, b) => Number(a.at) - Number(b.at)).slice(-wanted) : found;
      if (follow !== true) {
        process.stdout.write(`${flags.json === true ? toJson(lines) : lines.map(lineText).join('\n') || '(none)'}\n`);
        return;
      }
      for (const line of lines) process.stdout.write(`${flags.json === true ? toJson(line, 0) : lineText(line)}\n`);
      await sleep(FOLLOW_MS);
    }
  });
}

async function pluginNames(call: Call): Promise<readonly string[]> {
  return dictsIn(await call('plugin.list')).flatMap(({ name }) => (typeof name === 'string' ? [name] : []));
}

function dictsIn(value: Value): readonly Dict[] {
  return Array.isArray(value) ? value.filter((one: Value): one is Dict => isDict(one)) : [];
}

function lineText({ at, level, text, plugin }: Dict): string {
  const name = typeof plugin === 'string' ? `${toText(plugin)}  ` : '';
  return `${toText(at ?? '')} ${toText(level ?? '').padEnd(5)} ${name}${toText(text ?? '')}`;
}

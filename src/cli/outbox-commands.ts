/** `co2 outbox`: what waits in the mesh of a relay for other nodes. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { durationText } from '../core/core.ts';
import { dictOf, isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { callAndPrint, client } from './client-commands.ts';
import { prepare } from './command-line.ts';
import type { TargetFlags } from './target.ts';
import { structOf, structsOf, textOf, toTable, toText } from './values.ts';

const COLUMNS = ['id', 'state', 'waiting for', 'kind', 'bytes', 'durable', 'sent', 'expires', 'attempts', 'last_reason'];
const MAX_ENTRIES = 100;

const HELP = `
Examples:
  co2 outbox
  co2 outbox list --node cellar
  co2 outbox show ID
  co2 outbox retry ID
  co2 outbox drop ID`;
const LIST_HELP = `
state: waiting (there is no path to the node now), queued, in-flight, or custody (a neighbour has it; the node has not confirmed it yet).
Examples:
  co2 outbox
  co2 outbox list --node cellar
  co2 outbox list --limit 20
  co2 outbox list --json`;
const ONE_HELP = (word: string): string => `
ID is that of co2 outbox, such as xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o.2.b.1.
Examples:
  co2 outbox ${word} xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o.2.b.1
  co2 outbox ${word} xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o.2.b.1 --json`;

interface ListFlags extends TargetFlags {
  readonly node?: string;
  readonly limit: number;
  readonly after?: number;
}

/** Adds the command and its subcommands. */
export function addOutboxCommands(program: Command): void {
  const outbox = prepare(program.command('outbox'))
    .description('show what waits in the mesh for other nodes, try it again, or give it up')
    .helpCommand(false)
    .addHelpText('after', HELP);
  client(outbox, 'list', 'list the messages that wait, the oldest first', LIST_HELP, { isDefault: true })
    .option('--node <node>', 'only those that wait for this node: its id or nick')
    .option('--limit <number>', 'at most so many, 1 to 100', whole, MAX_ENTRIES)
    .option('--after <position>', 'those behind this position', whole)
    .action(list);
  client(outbox, 'show <id>', 'show a message and what it carries', ONE_HELP('show')).action((id: string, flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('outbox.show', id), messageText),
  );
  client(outbox, 'retry <id>', 'try to send a message at once', ONE_HELP('retry')).action((id: string, flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('outbox.retry', id),
      () => `tried again: ${id}`,
    ),
  );
  client(outbox, 'drop <id>', 'give up a message; its sender gets a report', ONE_HELP('drop')).action((id: string, flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('outbox.drop', id),
      () => `dropped: ${id}`,
    ),
  );
}

async function list({ node, limit, after, ...flags }: ListFlags): Promise<void> {
  let nicks: ReadonlyMap<string, string> = new Map();
  await callAndPrint(
    flags,
    async (call) => {
      const page = await call('outbox.list', { limit, ...(node !== undefined && { node }), ...(after !== undefined && { after }) });
      if (flags.json !== true) nicks = nicksIn(await call('relay.get_nodes'));
      return page;
    },
    (page) => listText(page, nicks),
  );
}

function nicksIn(nodes: Value): ReadonlyMap<string, string> {
  return new Map(structsOf(nodes).map(({ node, nick }) => [textOf(node), textOf(nick)]));
}

function listText(value: Value, nicks: ReadonlyMap<string, string>): string {
  const { messages, more } = structOf(value);
  const entries = structsOf(messages);
  const last = entries.at(-1);
  if (!last) return 'nothing waits for other nodes';
  const rows = entries.map((entry) => {
    const { waiting_for: nodes, sent_ms_ago: age, ttl_left_ms: left } = entry;
    const names = (Array.isArray(nodes) ? (nodes as readonly Value[]) : []).map((id) => nicks.get(textOf(id)) ?? textOf(id));
    return dictOf([
      ...Object.entries(entry),
      ['waiting for', names.join(', ')],
      ['sent', `${durationText(Number(age))} ago`],
      ['expires', `in ${durationText(Number(left))}`],
    ]);
  });
  const next = more === true ? [`more: co2 outbox list --after ${Number(last.position)}`] : [];
  return [toTable(rows, COLUMNS), ...next].join('\n');
}

/** Leaves out the bytes of a message if its dicts are there. */
function messageText(value: Value): string {
  if (!isDict(value) || (value.dict ?? value.dicts) === undefined) return toText(value);
  return toText(dictOf(Object.entries(value).filter(([name]) => name !== 'payload')));
}

function whole(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new InvalidArgumentError('It must be a whole number.');
}

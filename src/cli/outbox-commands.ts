/** `co2 outbox`: what waits in the mesh of a relay for other nodes. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { callAndPrint, client } from './client-commands.ts';
import { prepare } from './command-line.ts';
import type { TargetFlags } from './target.ts';
import { toTable, toText } from './values.ts';

const COLUMNS = [
  ...['id', 'state', 'waiting_for', 'kind', 'bytes', 'durable', 'sent_ms_ago', 'ttl_left_ms', 'attempts'],
  ...['last_reason'],
];
const MAX_ENTRIES = 100;

const HELP = `
Examples:
  co2 outbox
  co2 outbox list --node xeb3jf4yw5uqdcmxrtzqkv6n2lh7ga4o
  co2 outbox show ID
  co2 outbox retry ID
  co2 outbox drop ID`;
const LIST_HELP = `
state: waiting (there is no path to the node now), queued, in-flight, or custody (a neighbour has it; the node has not confirmed it yet).
Examples:
  co2 outbox
  co2 outbox list --limit 20
  co2 outbox list --json`;

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
    .option('--node <id>', 'only those that wait for this node')
    .option('--limit <number>', 'at most so many, 1 to 100', whole, MAX_ENTRIES)
    .option('--after <position>', 'those behind this position', whole)
    .action(({ node, limit, after, ...flags }: ListFlags) =>
      callAndPrint(
        flags,
        (call) => call('outbox.list', { limit, ...(node !== undefined && { node }), ...(after !== undefined && { after }) }),
        listText,
      ),
    );
  client(outbox, 'show <id>', 'show a message and what it carries').action((id: string, flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('outbox.show', id), toText),
  );
  client(outbox, 'retry <id>', 'try to send a message at once').action((id: string, flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('outbox.retry', id),
      () => `tried again: ${id}`,
    ),
  );
  client(outbox, 'drop <id>', 'give up a message; its sender gets a report').action((id: string, flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('outbox.drop', id),
      () => `dropped: ${id}`,
    ),
  );
}

function listText(value: Value): string {
  if (!isDict(value) || !Array.isArray(value.messages) || value.messages.length === 0) return 'nothing waits for other nodes';
  const last = (value.messages as readonly Value[]).at(-1);
  const position = isDict(last) ? Number(last.position) : 0;
  const more = value.more === true ? [`more: co2 outbox list --after ${position}`] : [];
  return [toTable(value.messages, COLUMNS), ...more].join('\n');
}

function whole(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new InvalidArgumentError('It must be a whole number.');
}

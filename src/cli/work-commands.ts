/** The commands for units of work: `co2 work submit`, `list`, `results` and so on. */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { prepare } from './command-line.ts';
import { callAndPrint, client } from './client-commands.ts';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { atNode } from './target.ts';
import type { NodeFlags, TargetFlags } from './target.ts';
import { toTable } from './values.ts';
import type { ResultFlags, SubmitFlags } from './work.ts';

const HELP = `
Examples:
  co2 work types
  co2 work submit shell.sort --payload words.txt --follow
  co2 work list --state running
  co2 work list --all
  co2 work results 4fb1c2 --follow
  co2 work release 4fb1c2`;
const SUBMIT_HELP = `
Examples:
  co2 work submit ham.spam:render --payload scene.json --follow
  echo hello | co2 work submit shell.sort --payload - --follow
  co2 work submit ham.spam:resize width=200 --payload photo.jpg --follow > small.jpg
  co2 work submit ham.spam:render --node kitchen --payload scene.json --follow
  co2 work submit shell.sort --any --payload words.txt
  co2 work submit ham.spam:update --group kitchen,cellar,attic
PARAMS are key=value pairs or JSON, as for co2 call; a parameter whose name begins with secret_ is never shown.
A unit for a NODE of the mesh, named by its id or nick, waits for it if it is down; --any is this relay, or else the nearest node that does this
work; --group submits a unit for each NODE.
With --follow results go to stdout as they come (structs as JSON lines), a program's stderr to stderr, and the exit code of the unit is that of
the command. Ctrl-C stops following; the unit goes on (co2 work cancel UNIT ends it).`;
const LIST_HELP = `
Examples:
  co2 work list --state running
  co2 work list --group 4fb1c2
  co2 work list --all
  co2 work list --node kitchen
--all asks all nodes of the mesh, and --node one of them; a node shows what came from this relay. Pass what listed_by shows as --node to
co2 work status, results, cancel and release.`;
const RESULTS_HELP = `
Examples:
  co2 work results 4fb1c2 --follow
  co2 work results 4fb1c2 --stream stderr
  co2 work results 4fb1c2 --offset 1000000 > rest.bin`;

const AT_NODE = 'the unit is at this node, which co2 work list --all shows as listed_by';

const UNIT_COLUMNS = ['unit', 'type', 'state', 'position', 'node', 'submitted', 'submitter', 'reason'];
const MESH_COLUMNS = ['unit', 'type', 'state', 'node', 'listed_by', 'submitted', 'submitter', 'reason'];
const TYPE_COLUMNS = ['type', 'payload', 'params', 'max_concurrent', 'is_ready', 'help'];

interface ListFlags extends NodeFlags {
  readonly state?: string;
  readonly type?: string;
  readonly group?: string;
  readonly all?: boolean;
  readonly limit: number;
}

interface StatusFlags extends NodeFlags {
  readonly wait?: boolean;
}

/** Adds the commands. */
export function addWorkCommands(program: Command, onExit: (code: number) => void): void {
  const work = prepare(program.command('work'))
    .description('submit work to a relay, and read its results')
    .helpCommand(false)
    .addHelpText('after', HELP);
  client(work, 'types', 'list the types of work that can be submitted').action((flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('work.types'), typesText),
  );
  addSubmitCommand(work, onExit);
  addListCommand(work);
  addUnitCommands(work, onExit);
}

function addSubmitCommand(work: Command, onExit: (code: number) => void): void {
  client(work, 'submit <type> [params...]', 'submit a unit of work', SUBMIT_HELP)
    .option('--payload <file>', 'the payload: a file, or - for standard input (default: empty)')
    .option('--id <id>', 'the id of the unit; the same id again is the same unit (default: a new one)')
    .option('--ttl <seconds>', 'expire unless it starts within this time', seconds)
    .option('--run-time <seconds>', 'fail when it runs longer than this', seconds)
    .addOption(new Option('--node <node>', 'the node that is to run it: an id or a nick').conflicts(['any', 'group']))
    .addOption(new Option('--any', 'run it here, or at the nearest node that does this work').conflicts('group'))
    .option('--group <nodes>', 'submit a unit for each of these nodes, separated by commas', commaList)
    .option('-f, --follow', 'print its results until it ends, with its exit code')
    .action(async (type: string, params: readonly string[], flags: SubmitFlags) => {
      const { submit } = await import('./work.ts');
      onExit(await submit(type, params, flags));
    });
}

function addListCommand(work: Command): void {
  client(work, 'list', 'list units, the newest first', LIST_HELP)
    .option('--state <state>', 'only units in this state: pending, running, succeeded, failed, canceled, expired, lost')
    .option('--type <type>', 'only units of this type')
    .option('--group <group>', 'only units of this group')
    .option('--all', 'units at all nodes of the mesh')
    .addOption(new Option('--node <node>', 'units at this node').conflicts('all'))
    .option('-n, --limit <number>', 'at most this many, of each node', whole, 100)
    .action(({ state, type, group, all, node, limit, ...flags }: ListFlags) => {
      const nodes = all === true ? 'all' : node;
      const filter = { ...(state !== undefined && { state }), ...(type !== undefined && { type }), ...(group !== undefined && { group }) };
      return callAndPrint(
        flags,
        (call) => call('work.list', { limit, ...filter, ...(nodes !== undefined && { nodes }) }),
        (value) => (nodes === undefined ? toTable(value, UNIT_COLUMNS) : meshTable(value)),
      );
    });
}

/** The commands that are about one unit. */
function addUnitCommands(work: Command, onExit: (code: number) => void): void {
  client(work, 'status <unit>', 'show a unit')
    .option('--wait', 'wait until it has ended')
    .option('--node <node>', AT_NODE)
    .action(async (unit: string, flags: StatusFlags) => {
      const { showUnit } = await import('./work.ts');
      onExit(await showUnit(unit, flags));
    });
  client(work, 'results <unit>', 'print the results of a unit', RESULTS_HELP)
    .option('--stream <name>', 'results, stdout or stderr (default: the first that the unit has)')
    .option('--offset <bytes>', 'begin at this byte', whole, 0)
    .option('-f, --follow', 'wait for more until the unit ends')
    .option('--node <node>', AT_NODE)
    .action(async (unit: string, flags: ResultFlags) => {
      const { printResults } = await import('./work.ts');
      onExit(await printResults(unit, flags));
    });
  client(work, 'cancel <unit>', 'end a unit that waits or runs')
    .option('--node <node>', AT_NODE)
    .action((unit: string, flags: NodeFlags) => callAndPrint(flags, (call) => call('work.cancel', { unit, ...atNode(flags) })));
  client(work, 'release <unit>', 'forget a unit with its payload and its results')
    .option('--node <node>', AT_NODE)
    .action((unit: string, flags: NodeFlags) =>
      callAndPrint(
        flags,
        (call) => call('work.release', { unit, ...atNode(flags) }),
        () => `${unit} released`,
      ),
    );
}

/** Units of several nodes, and the nodes that did not answer. */
function meshTable(value: Value): string {
  const { units = [], missing = [] } = isDict(value) ? value : {};
  const absent = (Array.isArray(missing) ? (missing as readonly Value[]) : []).filter(isDict);
  const lines = absent.map(({ node, reason }) => `no answer of ${node as string}: ${reason as string}`);
  return [toTable(units, MESH_COLUMNS), ...lines].join('\n');
}

function typesText(types: Value): string {
  const isEmpty = Array.isArray(types) && types.length === 0;
  return isEmpty ? 'this relay offers no work; co2 nodes shows what the others of its mesh offer' : toTable(types, TYPE_COLUMNS);
}

function commaList(text: string): readonly string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.every((name) => name !== '')) return names;
  throw new InvalidArgumentError('expected nodes, separated by commas.');
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError('expected seconds, more than 0.');
}

function whole(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number.');
}

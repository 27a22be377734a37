/** The commands for units of work: `co2 work submit`, `list`, `results` and so on. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { prepare } from './command-line.ts';
import { callAndPrint, client } from './client-commands.ts';
import type { TargetFlags } from './target.ts';
import type { ResultFlags, SubmitFlags } from './work.ts';
import { toTable } from './values.ts';

const HELP = `
Examples:
  co2 work types
  co2 work submit shell.sort --payload words.txt --follow
  co2 work list --state running
  co2 work results 4fb1c2 --follow
  co2 work release 4fb1c2`;
const SUBMIT_HELP = `
Examples:
  co2 work submit ham.spam:render --payload scene.json --follow
  echo hello | co2 work submit shell.sort --payload - --follow
  co2 work submit ham.spam:resize width=200 --payload photo.jpg --follow > small.jpg
PARAMS are key=value pairs or JSON, as for co2 call; a parameter whose name begins with secret_ is never shown.
With --follow results go to stdout as they come (structs as JSON lines), a program's stderr to stderr, and the exit code of the unit is that of
the command. Ctrl-C stops following; the unit goes on (co2 work cancel UNIT ends it).`;
const RESULTS_HELP = `
Examples:
  co2 work results 4fb1c2 --follow
  co2 work results 4fb1c2 --stream stderr
  co2 work results 4fb1c2 --offset 1000000 > rest.bin`;

const UNIT_COLUMNS = ['unit', 'type', 'state', 'position', 'submitted', 'submitter', 'reason'];
const TYPE_COLUMNS = ['type', 'payload', 'params', 'max_concurrent', 'is_ready', 'help'];

interface ListFlags extends TargetFlags {
  readonly state?: string;
  readonly type?: string;
  readonly limit: number;
}

interface StatusFlags extends TargetFlags {
  readonly wait?: boolean;
}

/** Adds the commands. */
export function addWorkCommands(program: Command, onExit: (code: number) => void): void {
  const work = prepare(program.command('work'))
    .description('submit work to a relay, and read its results')
    .helpCommand(false)
    .addHelpText('after', HELP);
  client(work, 'types', 'list the types of work that can be submitted').action((flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('work.types'),
      (value) => toTable(value, TYPE_COLUMNS),
    ),
  );
  client(work, 'submit <type> [params...]', 'submit a unit of work', SUBMIT_HELP)
    .option('--payload <file>', 'the payload: a file, or - for standard input (default: empty)')
    .option('--id <id>', 'the id of the unit; the same id again is the same unit (default: a new one)')
    .option('--ttl <seconds>', 'expire unless it starts within this time', seconds)
    .option('--run-time <seconds>', 'fail when it runs longer than this', seconds)
    .option('-f, --follow', 'print its results until it ends, with its exit code')
    .action(async (type: string, params: readonly string[], flags: SubmitFlags) => {
      const { submit } = await import('./work.ts');
      onExit(await submit(type, params, flags));
    });
  client(work, 'list', 'list units, the newest first')
    .option('--state <state>', 'only units in this state: pending, running, succeeded, failed, canceled, expired, lost')
    .option('--type <type>', 'only units of this type')
    .option('-n, --limit <number>', 'at most this many', whole, 100)
    .action(({ state, type, limit, ...flags }: ListFlags) =>
      callAndPrint(
        flags,
        (call) => call('work.list', { limit, ...(state !== undefined && { state }), ...(type !== undefined && { type }) }),
        (value) => toTable(value, UNIT_COLUMNS),
      ),
    );
  client(work, 'status <unit>', 'show a unit')
    .option('--wait', 'wait until it has ended')
    .action(async (unit: string, flags: StatusFlags) => {
      const { showUnit } = await import('./work.ts');
      onExit(await showUnit(unit, flags));
    });
  client(work, 'results <unit>', 'print the results of a unit', RESULTS_HELP)
    .option('--stream <name>', 'results, stdout or stderr (default: the first that the unit has)')
    .option('--offset <bytes>', 'begin at this byte', whole, 0)
    .option('-f, --follow', 'wait for more until the unit ends')
    .action(async (unit: string, flags: ResultFlags) => {
      const { printResults } = await import('./work.ts');
      onExit(await printResults(unit, flags));
    });
  client(work, 'cancel <unit>', 'end a unit that waits or runs').action((unit: string, flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('work.cancel', unit)),
  );
  client(work, 'release <unit>', 'forget a unit with its payload and its results').action((unit: string, flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('work.release', unit),
      () => `${unit} released`,
    ),
  );
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

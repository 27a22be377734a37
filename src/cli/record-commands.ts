/** The commands for recordings and controllers: `co2 record list`, `start`, `tail` and so on, and `co2 command`. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { prepare } from './command-line.ts';
import { callAndPrint, client } from './client-commands.ts';
import type { CommandFlags, ReplayFlags, TailFlags } from './record.ts';
import { atNode } from './target.ts';
import type { NodeFlags } from './target.ts';
import { toTable } from './values.ts';

const HELP = `
Examples:
  co2 record list
  co2 record start sense.system --store
  co2 record tail sense.system --count 3
  co2 record replay sense.system --speed 10
  co2 record stop sense.system
  co2 record tail sense.system --node kitchen
With --node, each command and co2 command ask that node of the mesh, which is named by its id or nick.`;
const START_HELP = `
Examples:
  co2 record start sense.system
  co2 record start sense.system --store --file load.ndjson
  co2 record start lab.camera:record --dicts
A recording goes on until it is stopped, also over restarts of the relay. NAME is a datasource, or the plugin that has only one.`;
const TAIL_HELP = `
Examples:
  co2 record tail sense.system
  co2 record tail sense.system --from now --count 1 --json
  co2 record tail lab.camera:record --count 1 --out photo.jpg
It prints the first frame that is kept, and all after it as they come. Texts are printed as they are, and of other frames their time, source,
type and size; --json prints an object a line: {source, type, timestamp, payload}, or base64 in place of payload.`;
const REPLAY_HELP = `
Examples:
  co2 record replay sense.system --speed 10
  co2 record replay sense.system --speed 0 --since 2026-01-31T09:30:00Z --json > load.ndjson
Frames are stored by co2 record start --store. --speed 1 is the original speed, 0 is without waiting.`;
const COMMAND_HELP = `
Examples:
  co2 command lab.motor --data '{"speed": 3}'
  co2 command lab.camera:command --data zoom --type text/plain --out photo.jpg
  co2 command lab.motor --data @program.bin --type application/octet-stream
  echo 90 | co2 command lab.motor --data -
Frames are printed as they come, as by co2 record tail; --out writes their payloads to a file. @FILE is the content of a file, - is standard
input. Ctrl-C cancels the command. The exit code is 0 if it succeeds, and else 1.`;

const NODE = 'ask this node of the mesh';

const COLUMNS = ['name', 'state', 'frames', 'missed', 'restarts', 'reason', 'help'];

interface StartFlags extends NodeFlags {
  readonly dicts?: boolean;
  readonly file?: string;
  readonly store?: boolean;
}

/** Adds the commands. */
export function addRecordCommands(program: Command, onExit: (code: number) => void): void {
  const record = prepare(program.command('record'))
    .description('record the datasources of plugins, and read what they record')
    .helpCommand(false)
    .addHelpText('after', HELP);
  client(record, 'list', 'list the datasources and recordings')
    .option('--node <node>', NODE)
    .action((flags: NodeFlags) =>
      callAndPrint(
        flags,
        (call) => call('recording.list', atNode(flags)),
        (value) => toTable(value, COLUMNS),
      ),
    );
  client(record, 'start <name>', 'start a recording', START_HELP)
    .option('--dicts', 'send each frame as a dict to all satellites and peers')
    .option('--file <name>', 'append frames to a file of the relay, as lines of JSON')
    .option('--store', 'keep frames for co2 record replay')
    .option('--node <node>', NODE)
    .action((name: string, { dicts, file, store, ...flags }: StartFlags) =>
      callAndPrint(
        flags,
        (call) =>
          call('recording.start', {
            ...{ name, ...(dicts === true && { dicts }), ...(store === true && { store }) },
            ...(file !== undefined && { file }),
            ...atNode(flags),
          }),
        () => `${name} started`,
      ),
    );
  client(record, 'stop <name>', 'stop a recording')
    .option('--node <node>', NODE)
    .action((name: string, flags: NodeFlags) =>
      callAndPrint(
        flags,
        (call) => call('recording.stop', { name, ...atNode(flags) }),
        () => `${name} stopped`,
      ),
    );
  addPrintingCommands(record);
  client(program, 'command <name>', 'send a frame to a controller, and print what it answers', COMMAND_HELP, { except: '--data' })
    .option('--data <text>', 'the payload (default: empty)')
    .option('--type <type>', 'its media type', 'application/json')
    .option('--source <name>', 'its source (default: the name of the controller)')
    .option('--node <node>', NODE)
    .option('--out <file>', 'write the payloads of the answer to this file')
    .option('--data-dir <dir>', 'state directory of the relay; other commands have --data for it')
    .action(async (name: string, { data: payload, dataDir: data, ...flags }: CommandFlags & { readonly dataDir?: string }) => {
      const { command } = await import('./record.ts');
      onExit(await command(name, { ...flags, ...(payload !== undefined && { payload }), ...(data !== undefined && { data }) }));
    });
}

/** The commands that print frames. */
function addPrintingCommands(record: Command): void {
  client(record, 'tail <name>', 'print frames as they come', TAIL_HELP)
    .option('--node <node>', NODE)
    .option('--from <where>', 'first: the first frame that is kept; now: what comes from now on', 'first')
    .option('--count <number>', 'end after this many frames', whole)
    .option('--out <file>', 'write the payloads to this file')
    .action(async (name: string, flags: TailFlags) => {
      const { tail } = await import('./record.ts');
      await tail(name, flags);
    });
  client(record, 'replay <name>', 'print stored frames at their original speed, or another one', REPLAY_HELP)
    .option('--node <node>', NODE)
    .option('--speed <factor>', 'how many times as fast', factor, 1)
    .option('--since <time>', 'skip frames before this date (ISO 8601)', date)
    .option('--until <time>', 'skip frames after this date', date)
    .option('--count <number>', 'end after this many frames', whole)
    .option('--out <file>', 'write the payloads to this file')
    .action(async (name: string, flags: ReplayFlags) => {
      const { replay } = await import('./record.ts');
      await replay(name, flags);
    });
}

function whole(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number from 1 on.');
}

function factor(text: string): number {
  if (/^\d{1,6}(\.\d{1,6})?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a number from 0 on, such as 2 or 0.5.');
}

function date(text: string): number {
  const ms = Date.parse(text);
  if (!Number.isNaN(ms)) return ms;
  throw new InvalidArgumentError('expected a date such as 2026-01-31T09:30:00Z.');
}

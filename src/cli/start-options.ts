/** The flags of `co2 start`, and what they set. */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';

/** Parsed flags; undefined where a flag was not given. */
export interface StartFlags {
  readonly port?: number;
  readonly host?: string[];
  readonly plugins?: string;
  readonly data?: string;
  readonly config?: string;
  readonly peer?: string[];
  readonly watch?: boolean;
  readonly poll?: boolean;
  readonly logLevel?: string;
}

/** Flag -> option of the configuration. */
const FLAG_OF: Readonly<Record<string, string>> = {
  port: '--port',
  host: '--host',
  pluginsDir: '--plugins',
  dataDir: '--data',
  peers: '--peer',
  watch: '--no-watch or --poll',
  'log.level': '--log-level',
};

export function addStartOptions(command: Command): Command {
  return (
    command
      .option('--port <number>', 'port to listen on, 0 for any free one (default: 2004)', wholeNumber)
      .option('--host <address>', 'address to listen on; may be repeated, the first stands in host_id (default: 127.0.0.1)', collect)
      .option('--plugins <dir>', 'directory of the plugins (default: plugins)')
      .option('--data <dir>', 'state directory (default: .co2)')
      .option('--config <file>', 'configuration file (default: config.ts, if it is there)')
      // Not given, it says nothing: commander would take it for a yes.
      .addOption(new Option('--no-watch', 'do not reload plugins when they are saved').default(undefined))
      .option('--poll', 'look for changed plugins once a second, where the file system tells nobody')
      .option('--peer <url>', 'peer relay; give it once for each, they replace those of the file', collect)
      .addOption(
        new Option('--log-level <level>', 'what is logged at least (default: info)').choices(['debug', 'info', 'warn', 'error', 'off']),
      )
  );
}

/** The flags as a part of a configuration. */
export function configOf(flags: StartFlags): object {
  return {
    port: flags.port,
    // One stays one, so that a mistake in it is told in the words of one.
    host: flags.host?.length === 1 ? flags.host[0] : flags.host,
    pluginsDir: flags.plugins,
    dataDir: flags.data,
    peers: flags.peer,
    watch: flags.watch === false ? false : flags.poll === true ? 'poll' : undefined,
    log: flags.logLevel === undefined ? undefined : { level: flags.logLevel },
  };
}

/** How the option `key` is called on the command line. */
export function flagName(key: string): string {
  return FLAG_OF[key.replace(/\.\d+$/, '')] ?? key;
}

function collect(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text];
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number.');
}

/** The flags of `co2 start` with the options that they set, the names of the configuration file, and variables that are not options. */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';

/** The names under which a configuration file is found automatically. */
export const CONFIG_NAMES = ['config.ts', 'config.mts', 'config.js', 'config.mjs'];
/** Variables that begin with CO2_ but are not options. Client commands and the programs that a relay starts use them. */
export const OTHER_VARIABLES = /^CO2_(CONFIG$|URL$|TOKEN$|TOKEN_FILE$|RELAY_URL$|PROTOCOL_VERSIONS$|PLUGIN_|TEST_)/;

/** Parsed flags; undefined if a flag is absent. */
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

/** Maps options of the configuration to flags. */
const FLAG_OF: Readonly<Record<string, string>> = {
  port: '--port',
  host: '--host',
  pluginsDir: '--plugins',
  dataDir: '--data',
  peers: '--peer',
  watch: '--no-watch or --poll',
  'log.level': '--log-level',
};

/** Adds the flags to a command. */
export function addStartOptions(command: Command): Command {
  return (
    command
      .option('--port <number>', 'port to listen on; 0 picks a free one (default: 2004)', wholeNumber)
      .option(
        '--host <address>',
        'address to listen on; may be repeated, the first one becomes part of host_id (default: 127.0.0.1)',
        collect,
      )
      .option('--plugins <dir>', 'plugins directory (default: plugins)')
      .option('--data <dir>', 'state directory (default: .co2)')
      .option('--config <file>', 'configuration file (default: config.ts, if it exists)')
      // Without this, commander would set an absent flag to true.
      .addOption(new Option('--no-watch', 'do not reload plugins when their files change').default(undefined))
      .option('--poll', 'check for changed plugins every second, for file systems without change events')
      .option('--peer <url>', 'URL of a peer relay; may be repeated, replaces the peers of the configuration file', collect)
      .addOption(
        new Option('--log-level <level>', 'minimum level of log lines (default: info)').choices(['debug', 'info', 'warn', 'error', 'off']),
      )
  );
}

/** Converts the flags to partial options. */
export function configOf(flags: StartFlags): object {
  return {
    port: flags.port,
    // A single host is not a list, so that an error about it names the flag and not an element.
    host: flags.host?.length === 1 ? flags.host[0] : flags.host,
    pluginsDir: flags.plugins,
    dataDir: flags.data,
    peers: flags.peer,
    watch: flags.watch === false ? false : flags.poll === true ? 'poll' : undefined,
    log: flags.logLevel === undefined ? undefined : { level: flags.logLevel },
  };
}

/** The flag that sets the option `key`. */
export function flagName(key: string): string {
  return FLAG_OF[key.replace(/\.\d+$/, '')] ?? key;
}

function collect(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text];
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected an integer.');
}

/** The main file of a child process: it runs a plugin module as a program that speaks the common program protocol. */
import { env } from 'node:process';
import { RelayError } from '../../core/core.ts';
import { ChildModule } from './child-module.ts';
import { PIPE_LOST, jobOf, watchOver } from './job.ts';
import { RelayLog } from './relay-client.ts';
import { ChildServer } from './server.ts';
import type { ChildMethod } from './server.ts';

function main(): void {
  const job = jobOf(process.argv);
  // Processes that the plugin starts must not inherit these variables.
  delete env.CO2_RELAY_URL;
  delete env.CO2_PLUGIN_TOKEN;
  const end = (code: number, reason: string): void => {
    process.stderr.write(`${reason}\n`);
    process.exit(code);
  };
  watchOver(job.maxMemoryMb, end);
  const server = new ChildServer({
    find: (name): ChildMethod | undefined => methods.get(name) ?? module.method(name),
    explain: (thrown): string => module.explain(thrown),
    onEnd: (reason) => {
      end(PIPE_LOST, `the pipe to the relay has ended: ${reason}`);
    },
  });
  const log = new RelayLog(server.relay, job.debug);
  const module = new ChildModule({ job, client: server.relay, log });
  const methods = protocolOf(module, async () => {
    await module.stop();
    await log.flush();
    server.onceSent(() => process.exit(0));
  });
  process.stdout.write('co2|1|pipe\n');
}

/** The methods that every program implements. */
function protocolOf(module: ChildModule, stop: () => Promise<void>): ReadonlyMap<string, ChildMethod> {
  let relayVersion = '';
  let loaded: Promise<void> | undefined;
  const load = (): Promise<void> => (loaded ??= module.load(relayVersion));
  return new Map<string, ChildMethod>([
    [
      'plugin.push_version',
      async ([version]) => {
        if (typeof version === 'string') relayVersion = version;
        // If the module fails to load, the next call reports the reason.
        await load().catch(() => undefined);
        return module.account();
      },
    ],
    ['plugin.get_version', () => load().then(() => module.statedVersion())],
    ['plugin.describe', () => load().then(() => module.describe())],
    ['plugin.setup', async ([config = {}]) => module.setup(config).then(() => true)],
    ['notify', (params) => module.notify(params)],
    ['plugin.execute', (params) => module.execute(params)],
    ['plugin.cancel', (params) => module.cancel(params)],
    ['plugin.start_record', (params) => module.startRecord(params)],
    ['plugin.stop_record', (params) => module.cancel(params)],
    ['plugin.command', (params) => module.command(params)],
    ['plugin.accept', (params) => module.endpoints.accept(params)],
    ['plugin.open', (params) => module.endpoints.open(params)],
    ['plugin.event', (params) => module.endpoints.event(params)],
    ['plugin.close', (params) => module.endpoints.close(params)],
    ['ping', () => true],
    ['plugin.handover', () => module.handover()],
    ['plugin.on_delivery', (params) => module.onDelivery(params)],
    [
      'plugin.restore',
      ([states]) => {
        module.restore(states);
        return true;
      },
    ],
    ['plugin.stop', async () => stop().then(() => true)],
  ]);
}

if (env.CO2_PLUGIN_TOKEN === undefined) {
  process.stderr.write(
    'This runs a plugin in a process of its own, and the relay starts it: say isolation: { "<package>.<module>": "child" } in config.ts.\n',
  );
  process.exitCode = 2;
} else if (!(env.CO2_PROTOCOL_VERSIONS ?? '').split(',').includes('1')) {
  throw new RelayError('PLUGIN_REFUSED', 'the relay does not speak version 1 of the protocol');
} else {
  main();
}

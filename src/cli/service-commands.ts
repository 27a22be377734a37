/** The commands for services: `co2 service list`, `status`, `start` and `stop`. */
import type { Command } from 'commander';
import { dictOf, isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';
import { callAndPrint, client } from './client-commands.ts';
import { prepare } from './command-line.ts';
import type { TargetFlags } from './target.ts';
import { structsOf, toTable, toText } from './values.ts';

const HELP = `
Examples:
  co2 service list
  co2 service status web
  co2 service status web --json
  co2 service stop web`;

const COLUMNS = ['name', 'state', 'up', 'down', 'watchers', 'reactors', 'reason'];
const NODE_COLUMNS = ['name', 'status', 'host', 'port'];
const ENDPOINT_COLUMNS = ['kind', 'name', 'type', 'state', 'restarts', 'reports', 'changes', 'queued', 'merged', 'reason', 'last_error'];

/** Adds the commands. */
export function addServiceCommands(program: Command): void {
  const service = prepare(program.command('service'))
    .description('show, start and stop the services of a relay')
    .helpCommand(false)
    .addHelpText('after', HELP);
  client(service, 'list', 'list the services, with the numbers of their nodes').action((flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('service.list'), listText),
  );
  one(service, 'status', 'show a service: its watchers, its reactors and its nodes', 'service.status');
  one(service, 'start', 'start a service that was stopped', 'service.start');
  one(service, 'stop', 'stop a service until it, or the relay, is started again', 'service.stop');
}

function one(service: Command, name: string, description: string, method: string): void {
  client(service, `${name} <name>`, description, HELP).action((of: string, flags: TargetFlags) =>
    callAndPrint(flags, (call) => call(method, of), statusText),
  );
}

function listText(value: Value): string {
  const services = structsOf(value);
  if (services.length === 0) return 'no services; they are in services of config.ts';
  const rows = services.map((service) => {
    const { watchers, reactors } = service;
    return dictOf([...Object.entries(service), ['watchers', runningText(watchers)], ['reactors', runningText(reactors)]]);
  });
  return toTable(rows, COLUMNS);
}

function statusText(value: Value): string {
  if (!isDict(value)) return toText(value);
  const { name, state, up, down, watchers, reactors, nodes } = value;
  const endpoints = [...rowsOf(watchers, 'watcher'), ...rowsOf(reactors, 'reactor')];
  const known = isDict(nodes) ? Object.values(nodes) : [];
  return [
    `${toText(name ?? '')} is ${toText(state ?? '')}: ${toText(up ?? 0)} up, ${toText(down ?? 0)} down`,
    ...(endpoints.length > 0 ? ['', toTable(endpoints, ENDPOINT_COLUMNS)] : []),
    ...(known.length > 0 ? ['', toTable(known, NODE_COLUMNS)] : []),
  ].join('\n');
}

function rowsOf(endpoints: Value | undefined, kind: string): readonly Dict[] {
  return structsOf(endpoints).map((endpoint) => dictOf([['kind', kind], ...Object.entries(endpoint)]));
}

/** How many of the endpoints run, `2 of 2`. */
function runningText(endpoints: Value | undefined): string {
  const all = structsOf(endpoints);
  return `${all.filter(({ state }) => state === 'running').length} of ${all.length}`;
}

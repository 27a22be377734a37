/** The commands for services: `co2 service list`, `status`, `start` and `stop`. */
import type { Command } from 'commander';
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { callAndPrint, client } from './client-commands.ts';
import { prepare } from './command-line.ts';
import type { TargetFlags } from './target.ts';
import { toTable, toText } from './values.ts';

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
  const services = Array.isArray(value) ? (value as readonly Value[]) : [];
  if (services.length === 0) return 'no services; they are in services of config.ts';
  const rows = services.map((service) => (isDict(service) ? { ...members(service), ...counts(service) } : service));
  return toTable(rows, COLUMNS);
}

function statusText(value: Value): string {
  if (!isDict(value)) return toText(value);
  const { name, state, up, down, watchers, reactors, nodes } = value;
  const endpoints = [...rowsOf(watchers, 'watcher'), ...rowsOf(reactors, 'reactor')];
  const known = isDict(nodes) ? Object.values(nodes) : [];
  return [
    `${toText(name ?? '')} is ${toText(state ?? '')}: ${toText(up ?? 0)} up, ${toText(down ?? 0)} down`,
    ...(endpoints.length > 0 ? ['', toTable(endpoints as unknown as Value, ENDPOINT_COLUMNS)] : []),
    ...(known.length > 0 ? ['', toTable(known, NODE_COLUMNS)] : []),
  ].join('\n');
}

function rowsOf(endpoints: Value | undefined, kind: string): readonly Sendable[] {
  const list = Array.isArray(endpoints) ? (endpoints as readonly Value[]) : [];
  return list.map((endpoint) => (isDict(endpoint) ? { kind, ...members(endpoint) } : endpoint));
}

/** How many of the endpoints run, `2 of 2`. */
function counts({ watchers, reactors }: Dict): Readonly<Record<string, string>> {
  const countOf = (endpoints: Value | undefined): string => {
    const list = Array.isArray(endpoints) ? (endpoints as readonly Value[]) : [];
    return `${list.filter((endpoint) => isDict(endpoint) && endpoint.state === 'running').length} of ${list.length}`;
  };
  return { watchers: countOf(watchers), reactors: countOf(reactors) };
}

function members(dict: Dict): Readonly<Record<string, Value>> {
  return Object.fromEntries(Object.entries(dict));
}

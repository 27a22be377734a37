/** The methods by which remote satellites register, submit dicts, unregister, and are listed. */
import { Double, dictOf, isDict } from '../../values/values.ts';
import { RelayError, andThen, clean } from '../../core/core.ts';
import type { Dict, Sendable, Value } from '../../values/values.ts';
import type { Credential, Registered, Satellites, SatelliteView, Sender } from '../../satellites/satellites.ts';
import type { RejectionLog } from '../rejection-log.ts';
import type { Router } from '../router.ts';
import type { Caller, MethodRegistry } from '../../rpc/rpc.ts';
import { oneStruct } from '../../rpc/rpc.ts';

export interface SatelliteMethods {
  readonly satellites: Pick<Satellites, 'register' | 'unregister' | 'requireOwner' | 'byToken' | 'byHostId' | 'byEndpoint' | 'list'>;
  readonly router: Pick<Router, 'accept' | 'checkedHostId' | 'sendAsWritten'>;
  readonly rejections: Pick<RejectionLog, 'wrongToken'>;
  /** The generation of what the program of this name sends now. */
  readonly generationOf: (plugin: string) => number;
}

/** Registers the methods. */
export function addSatelliteMethods(registry: MethodRegistry, methods: SatelliteMethods): void {
  const { satellites, router } = methods;
  registry.add({
    name: 'relay.register',
    access: 'message',
    isOfConnection: true,
    help: "Registers the XML-RPC server at the caller's address and the member port (optionally path, nick and host_id) as a satellite, which then receives notify(dict). Returns its record and a token.",
    signatures: [['struct', 'struct']],
    paramNames: ['satellite'],
    invoke: async (params, caller) => {
      const props = oneStruct('relay.register', params);
      requireDirect('relay.register', caller);
      return registeredOnWire(
        await satellites.register(props, {
          address: caller.address,
          hostId: router.checkedHostId(props, caller),
          token: credentialOf(caller),
        }),
      );
    },
  });
  registry.add({
    name: 'relay.unregister',
    access: 'message',
    isOfConnection: true,
    help: "Ends a registration, which is identified by the member token, or by port or host_id at the caller's address; one that was made with an access token requires that or the member token. Returns true.",
    signatures: [['boolean', 'struct']],
    paramNames: ['satellite'],
    invoke: async (params, caller) => {
      requireDirect('relay.unregister', caller);
      await satellites.unregister(leavingSatellite(oneStruct('relay.unregister', params), caller, methods));
      return true;
    },
  });
  registry.add({
    name: 'relay.relay',
    access: 'message',
    isOfConnection: true,
    help: 'Submits a dict on behalf of a satellite, to all other satellites and all peers. The sender is identified by co2: {token}, or by host_id. Returns true once the relay has accepted it; to a plugin that adds a struct of options it returns the id of the message.',
    signatures: [
      ['boolean', 'struct'],
      ['string', 'struct', 'struct'],
    ],
    paramNames: ['dict', 'options'],
    invoke: (params, caller) => {
      if (caller.role.kind === 'plugin') return sendAs(caller.role.name, params, caller, methods);
      const dict = oneStruct('relay.relay', params);
      return andThen(router.accept(dict, caller, senderOf(dict, caller, methods)), () => true);
    },
  });
  addLists(registry, satellites);
}

function addLists(registry: MethodRegistry, satellites: Pick<Satellites, 'list'>): void {
  registry.add(
    {
      name: 'relay.get_satellites',
      access: 'read',
      help: 'Lists the registered satellites: addr [ip, port], host_id, nick, ctime, path, and ping times (ms, -1 if it never answered; ping_fails: failures in a row).',
      signatures: [['array'], ['array', 'struct']],
      invoke: () => satellites.list().map(recordOnWire),
    },
    ['co2.get_satellites', 'web.get_satellites'],
  );
  registry.add(
    {
      name: 'relay.get_num_satellites',
      access: 'read',
      help: 'Returns the number of registered satellites.',
      signatures: [['int'], ['int', 'struct']],
      invoke: () => satellites.list().length,
    },
    ['co2.get_num_satellites', 'web.get_num_satellites'],
  );
}

/** Sends a dict of a plugin as its `send` does: under our host_id, and not to the plugin itself. */
async function sendAs(
  plugin: string,
  params: readonly Value[],
  caller: Caller,
  { router, generationOf }: SatelliteMethods,
): Promise<Sendable> {
  const [dict, options] = params;
  if (params.length > 2 || !isDict(dict) || (options !== undefined && !isDict(options)))
    throw new RelayError('INVALID_PARAMS', 'relay.relay takes a dict, and from a plugin also a struct of options');
  const { to, durable, ttl_ms: ttlMs, ordered, satellite = plugin, gen = 0, ...others } = options ?? dictOf();
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw new RelayError(
      'INVALID_PARAMS',
      `relay.relay has no option ${clean(unknown, 40)}; its options are to, durable, ttl_ms, ordered, satellite and gen`,
    );
  if (typeof satellite !== 'string' || !(satellite === plugin || satellite.startsWith(`${plugin}.`)))
    throw new RelayError('INVALID_PARAMS', `relay.relay: the option satellite names a satellite of ${plugin}`);
  if (typeof gen !== 'number' || !Number.isInteger(gen) || gen < 0)
    throw new RelayError('INVALID_PARAMS', 'relay.relay: the option gen is one more than co2.gen of the message that it answers');
  const sender = { plugin, satellite, generation: Math.max(gen, generationOf(plugin)) };
  const id = await router.sendAsWritten(sender, dict, caller, { to, durable, ttlMs, ordered });
  return options === undefined || id;
}

/** Throws if the caller is behind a proxy: its registration would make us connect to another program on the machine of the proxy. */
function requireDirect(method: string, { isDirect }: Caller): void {
  if (!isDirect)
    throw new RelayError(
      'FORBIDDEN',
      `${method} came through a proxy that is not in trustedProxies, so the address of the caller is unknown`,
    );
}

function credentialOf({ role }: Caller): Credential | undefined {
  return role.kind === 'token' ? { name: role.name, id: role.id } : undefined;
}

/** The record of a satellite on the wire. */
export function recordOnWire({ address, port, path, hostId, nick, ctime, pings }: SatelliteView): Readonly<Record<string, Sendable>> {
  return {
    addr: [address, port],
    host_id: hostId,
    nick,
    ctime,
    path,
    // Always doubles, so that typed clients can rely on the type.
    ping_current: new Double(pings.current),
    ping_count: pings.count,
    ping_min: new Double(pings.min),
    ping_max: new Double(pings.max),
    ping_avg: new Double(pings.avg),
    ping_fails: pings.fails,
  };
}

function registeredOnWire({ token, ...view }: Registered): Sendable {
  return { ...recordOnWire(view), token };
}

/** True if the dict's `co2` is not a relay's stamp but a satellite's `{token}`. */
export function namesToken({ co2 }: Dict): boolean {
  return isDict(co2) && Object.hasOwn(co2, 'token');
}

function senderOf(dict: Dict, caller: Caller, methods: SatelliteMethods): Sender | undefined {
  if (namesToken(dict)) return byToken((dict.co2 as Dict).token, caller, methods);
  // A dict from a peer is not a satellite's, even if one shares its address.
  if (caller.isPeer && dict.co2 !== undefined) return undefined;
  return typeof dict.host_id === 'string' && caller.isDirect ? methods.satellites.byHostId(dict.host_id, caller.address) : undefined;
}

/** The satellite that a call of `relay.unregister` means. */
function leavingSatellite(props: Dict, caller: Caller, methods: SatelliteMethods): Sender {
  if (namesToken(props)) return byToken((props.co2 as Dict).token, caller, methods);
  if (props.token !== undefined) return byToken(props.token, caller, methods);
  const { satellites } = methods;
  const { host_id: hostId, port } = props;
  const found =
    typeof port === 'number'
      ? satellites.byEndpoint(caller.address, port)
      : satellites.byHostId(methods.router.checkedHostId(props, caller) ?? '', caller.address);
  if (found) {
    satellites.requireOwner(found, credentialOf(caller));
    return found;
  }
  if (hostId === undefined && port === undefined)
    throw new RelayError('INVALID_PARAMS', 'relay.unregister needs token, port or host_id, to identify the satellite');
  throw new RelayError('INVALID_PARAMS', `no such satellite is registered at ${caller.address}; relay.get_satellites lists them`);
}

function byToken(token: Value | undefined, caller: Caller, { satellites, rejections }: SatelliteMethods): Sender {
  const sender = typeof token === 'string' ? satellites.byToken(token, caller.address) : undefined;
  if (sender) return sender;
  rejections.wrongToken(caller);
  throw new RelayError('NOT_AUTHENTICATED', 'the token does not belong to a satellite at your address; relay.register returns a new one');
}

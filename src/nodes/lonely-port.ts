/** The mesh of a relay that has no mesh, as in a test in memory: one node, which can call itself. */
import { RelayError } from '../core/core.ts';
import type { MeshPort, MeshReceiver } from '../mesh/mesh.ts';

/** Makes it. What is not for this node, or for all, has nowhere to go. */
export function lonelyPort({ node: id, nick }: { readonly node: string; readonly nick: string }): MeshPort {
  const receivers = new Map<string, MeshReceiver>();
  let state = {
    ...{ id, nick, epoch: 1, sequence: 1, addresses: [], hostIds: [], isLeaving: false, neighbours: [] },
    ...{ capabilities: [] as readonly string[], load: 0 },
  };
  let sent = 0;
  const submit: MeshPort['submit'] = async ({
    target,
    contentType,
    payload,
    isDurable,
    isOrdered = false,
    ttlMs = 0,
    hostId = '',
    generation = 0,
    ref = '',
  }) => {
    if (target.type === 'all') return `${++sent}`;
    if (target.type === 'any') throw new RelayError('NOT_FOUND', `no other node offers ${target.capability}`);
    if (target.id !== id) throw new RelayError('NOT_FOUND', `no node has the id ${target.id}`);
    const number = ++sent;
    const head = {
      ...{ origin: id, epoch: 1, target: id, number, low: 1, sentAt: 0, ttlMs, isDurable, isOrdered, hostId, generation, ref },
      ...{ contentType, payloadHash: Buffer.alloc(0) },
    };
    // After the caller knows the id, as over a mesh.
    setImmediate(() => {
      void receivers.get(contentType)?.({ head, payload, ageMs: 0, via: [], isRedelivered: false });
    });
    return String(number);
  };
  return {
    id,
    hasNeighbours: false,
    submit,
    send: (message, refused) => {
      submit(message).catch(refused);
    },
    drop: () => Promise.resolve(false),
    receive: (contentType, receiver) => {
      receivers.set(contentType, receiver);
    },
    onOutcome: () => () => undefined,
    onNodes: () => () => undefined,
    nodes: () => [state],
    path: () => undefined,
    isTooFar: () => false,
    links: () => new Map(),
    describe: (offer) => {
      state = { ...state, ...offer };
    },
  };
}

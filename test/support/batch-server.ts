/** A scripted XML-RPC server, with or without support for batches, that records every request. */
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { parseCall, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from './gate.ts';

/** `taken`: the dict was accepted; otherwise a fault. */
export type Outcome = 'taken' | { readonly code: number; readonly text: string };

export interface BatchServerParts {
  /** The answer to a single dict. Default: accepted. */
  readonly outcome?: (data: Value | undefined) => Outcome;
  /** The answer to a whole batch; undefined: each of its dicts is answered on its own. Default undefined. */
  readonly wholeBatch?: (data: readonly (Value | undefined)[]) => Outcome | 'reset' | `http ${number}` | undefined;
  /** Whether the server supports `system.multicall`; checked at each call. Default true. */
  readonly offers?: () => boolean;
}

export interface BatchServer {
  readonly url: string;
  readonly port: number;
  /** The `data` of every accepted dict, in order. */
  readonly taken: Gate<Value | undefined>;
  /** Every request: the method's name, or for `system.multicall` also the number of calls. */
  readonly requests: Gate<string>;
  /** The XML of every request. */
  readonly bodies: readonly string[];
  /** Delays all answers until the next {@link release}. */
  hold(): void;
  release(): void;
}

export async function batchServer(
  t: ExecutionContext,
  { outcome = () => 'taken', wholeBatch = () => undefined, offers = () => true }: BatchServerParts = {},
): Promise<BatchServer> {
  const taken = new Gate<Value | undefined>();
  const requests = new Gate<string>();
  const bodies: string[] = [];
  let held: (() => void)[] | undefined;
  const one = (dict: Dict): Outcome => {
    const result = outcome(dict.data);
    if (result === 'taken') taken.push(dict.data);
    return result;
  };
  const answer = (body: Buffer, response: ServerResponse): void => {
    const { methodName, params } = parseCall(body);
    response.setHeader('content-type', 'text/xml');
    if (methodName === 'relay.hello') {
      // A classic server.
      response.end(serialiseFault(-32601, 'no such method'));
      return;
    }
    bodies.push(body.toString());
    if (methodName === 'notify') {
      requests.push('notify');
      const result = one(params[0] as Dict);
      response.end(result === 'taken' ? serialiseResponse(true) : serialiseFault(result.code, result.text));
    } else if (methodName === 'system.multicall' && offers()) {
      const dicts = (params[0] as readonly Dict[]).map((call) => (call.params as readonly Dict[])[0]!);
      requests.push(`multicall ${dicts.length}`);
      const whole = dicts.length === 0 ? undefined : wholeBatch(dicts.map(({ data }) => data));
      if (whole === undefined) response.end(serialiseResponse(dicts.map((dict) => resultOf(one(dict)))));
      else if (whole === 'reset') response.destroy();
      else if (typeof whole === 'string') response.writeHead(Number(whole.slice(5))).end();
      else response.end(serialiseFault(whole.code, whole.text));
    } else {
      requests.push(methodName);
      response.end(serialiseFault(-32601, 'no such method'));
    }
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const go = (): void => {
        answer(Buffer.concat(chunks), response);
      };
      if (held) held.push(go);
      else go();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const release = (): void => {
    const waiting = held ?? [];
    held = undefined;
    for (const go of waiting) go();
  };
  return { url: `http://127.0.0.1:${port}`, port, taken, requests, bodies, hold: () => (held ??= []), release };
}

function resultOf(outcome: Outcome): Sendable {
  return outcome === 'taken' ? [true] : { faultCode: outcome.code, faultString: outcome.text };
}

/** PUBLIC: everything that programs import from 'co2-relay/client'. */
import type { ClientOptions } from './options.ts';
import { XmlRpcClient } from './xmlrpc-client.ts';

export type { ClientOptions, ClientTlsOptions } from './options.ts';
export type {
  Capability,
  ClientCallOptions,
  MulticallEntry,
  MulticallResult,
  XmlRpcClient,
  RemoteMethod,
  RemoteMethods,
} from './xmlrpc-client.ts';
export { RemoteFault } from './errors.ts';
export { Dict, Double, Int64 } from '../values/values.ts';
export { RelayError } from '../core/core.ts';
export type { ErrorCode, ErrorData, ErrorReason } from '../core/core.ts';
export type { Sendable, Value } from '../values/values.ts';

/**
 * Creates a client of the XML-RPC server at `url`: `http:`, `https:` or `http+unix:`. The path `/` means `/RPC2`; user and password are
 * sent as Basic authentication. The first call connects. Calls run one after the other, in order; `maxConnections` allows several at once.
 * Throws a RelayError CONFIG_INVALID for an invalid URL or option.
 */
export function createClient(url: string | URL, options: ClientOptions = {}): XmlRpcClient {
  return new XmlRpcClient(url, options);
}

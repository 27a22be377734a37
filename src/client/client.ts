/** PUBLIC: all that a program imports from 'co2-relay/client'. */
import type { ClientOptions } from './options.ts';
import { XmlRpcClient } from './xmlrpc-client.ts';

export type { ClientOptions, ClientTlsOptions } from './options.ts';
export type { Capability, ClientCallOptions, MulticallEntry, MulticallResult, XmlRpcClient } from './xmlrpc-client.ts';
export type { RemoteMethod, RemoteMethods } from './remote-methods.ts';
export { RemoteFault } from './remote-fault.ts';
export { Dict, Double, Int64 } from '../values/values.ts';
export { RelayError } from '../core/core.ts';
export type { ErrorCode } from '../core/core.ts';
export type { Sendable, Value } from '../values/values.ts';

/**
 * A client of the XML-RPC server at `url`: `http:`, `https:` or `http+unix:`; a path of `/` means `/RPC2`, a user and a password in it are
 * sent as Basic.
 * Nothing is connected before the first call. Calls run one after the other, in order; `maxConnections` lets several run at once. Throws a
 * RelayError CONFIG_INVALID for a URL or an option that cannot be.
 */
export function createClient(url: string | URL, options: ClientOptions = {}): XmlRpcClient {
  return new XmlRpcClient(url, options);
}

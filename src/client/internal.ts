/** The client as the relay's own directories use it; `client.ts` is the public entry. */
export { answerHeadOf, connectionError, mayHaveArrived, RemoteFault } from './errors.ts';
export { XmlRpcClient } from './xmlrpc-client.ts';
export { readServerUrl } from './options.ts';
export type { ClientOptions, ClientTlsOptions } from './options.ts';

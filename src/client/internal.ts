/** The client as the relay's own directories use it; `client.ts` is the public entry. */
export { answerHeadOf, mayHaveArrived } from './reasons.ts';
export { RemoteFault } from './remote-fault.ts';
export { XmlRpcClient } from './xmlrpc-client.ts';
export type { ClientOptions } from './options.ts';

/** The call that asks a server whether it is there. */
import { dictOf } from '../values/values.ts';
import { serialiseCall } from '../xmlrpc/xmlrpc.ts';

/** `ping` with one empty struct, as in every co2 call. The fault of a server without the method counts as an answer. */
export const PING = serialiseCall('ping', [dictOf()]);

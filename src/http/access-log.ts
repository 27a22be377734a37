/** The access log: one line for each answered request. */
import { clean } from '../core/core.ts';
import type { Log } from '../core/core.ts';
import type { CallOutcome } from './endpoint.ts';
import { clientInLog } from './find-caller.ts';
import type { CallerRequest, CallerRules } from './find-caller.ts';

/** An answered request. */
export interface Access extends Omit<CallerRequest, 'maySession'> {
  readonly method: string;
  readonly url: string;
  readonly outcome: CallOutcome;
  readonly status: number;
  readonly ms: number;
}

export class AccessLog {
  constructor(
    private readonly log: Log,
    private readonly rules: CallerRules,
  ) {}

  write(access: Access): void {
    if (!this.log.isInfoEnabled()) return;
    const { method, url, status, ms } = access;
    const { rpcMethod, rpcFault } = access.outcome;
    const called = rpcMethod === undefined ? '' : ` ${clean(rpcMethod, 100)}`;
    const fault = rpcFault === undefined ? '' : ` fault ${rpcFault}`;
    const client = clientInLog(access, this.rules);
    this.log.info(`${client} ${method} ${clean(url, 200)}${called} ${status}${fault} ${ms.toFixed(1)} ms`);
  }
}

/** What happens to links, as events, and the log lines for them. */
import { RateLimitedLog, clean } from '../core/core.ts';
import type { Clock, LogSource } from '../core/core.ts';

/** Which link it is. */
export interface LinkName {
  readonly role: 'peer' | 'satellite';
  /** URL of a peer without credentials; address and port of a satellite. */
  readonly name: string;
}

/** A server that does not answer: `attempt` requests in a row failed; the next one is sent in `delayMs`. */
export interface LinkFailure {
  readonly attempt: number;
  readonly reason: string;
  readonly delayMs: number;
}

/** How a link stands with its server. */
export type LinkConnection =
  /** Nothing has been sent yet. */
  | { readonly type: 'unused' }
  /** The first request is under way. */
  | { readonly type: 'connecting' }
  /** The server answers; `attempts` failed before it did. */
  | { readonly type: 'up'; readonly attempts: number }
  /** It answered before. */
  | ({ readonly type: 'down' } & LinkFailure)
  /** It has not answered since the start. */
  | ({ readonly type: 'never reached' } & LinkFailure)
  | { readonly type: 'stopped' };

export type LinkEvent =
  /** Emitted for a change of state, and for another reason to back off. */
  | (LinkName & { readonly type: 'link.state'; readonly state: LinkConnection; readonly waiting: number })
  /** Transient: another attempt failed for the same reason, or a server that is up asked for a pause (attempt 0). */
  | (LinkName & LinkFailure & { readonly type: 'link.retry'; readonly waiting: number })
  /** Transient: the server rejected a dict for good. `isRepeated`: for the same reason as the one before it. */
  | (LinkName & { readonly type: 'link.refused'; readonly id: string; readonly reason: string; readonly isRepeated: boolean })
  /** Transient: the server accepted a dict. `unreadable`: why its answer, which could not be read, counts as that. */
  | (LinkName & { readonly type: 'link.forwarded'; readonly id: string; readonly unreadable?: string | undefined })
  /** Dicts were lost because the link ended. */
  | (LinkName & { readonly type: 'link.dropped'; readonly count: number; readonly reason: string })
  /** The connection of a relay plugin's carrier; `attempts` to connect failed so far. */
  | (LinkName & {
      readonly type: 'link.carrier';
      readonly state: 'connected' | 'failed' | 'lost';
      readonly attempts: number;
      readonly reason: string;
    });

/** Events that may occur once per message or attempt. */
export const TRANSIENT_LINK_EVENTS = ['link.retry', 'link.forwarded', 'link.refused'] as const satisfies readonly LinkEvent['type'][];

/** The events that {@link linkLogger} logs. */
export const LOGGED_LINK_EVENTS = [
  'link.state',
  'link.retry',
  'link.refused',
  'link.dropped',
  'link.carrier',
] as const satisfies readonly LinkEvent['type'][];

type LoggedLinkEvent = Extract<LinkEvent, { readonly type: (typeof LOGGED_LINK_EVENTS)[number] }>;

/** `peer http://192.168.1.7:2004` */
export function labelOf({ role, name }: LinkName): string {
  return `${role} ${name}`;
}

/** Returns the subscriber that logs links; what a server can cause at will is rate limited. */
export function linkLogger(logs: LogSource, clock: Pick<Clock, 'now'>): (event: LoggedLinkEvent) => void {
  const byLink = new Map<string, LinkLog>();
  return (event) => {
    const label = labelOf(event);
    const linkLog = byLink.get(label) ?? new LinkLog(label, logs(event.role === 'peer' ? 'mesh' : 'satellites'), clock);
    byLink.set(label, linkLog);
    linkLog.write(event);
    if (event.type === 'link.state' && event.state.type === 'stopped') byLink.delete(label);
  };
}

class LinkLog {
  readonly #refusals: RateLimitedLog;
  readonly #failures: RateLimitedLog;
  // Reason of the failure that was last logged as a warning.
  #warnedOf: string | undefined;

  constructor(
    private readonly label: string,
    private readonly log: ReturnType<LogSource>,
    clock: Pick<Clock, 'now'>,
  ) {
    this.#refusals = new RateLimitedLog(log, clock);
    this.#failures = new RateLimitedLog(log, clock);
  }

  write(event: LoggedLinkEvent): void {
    const { label, log } = this;
    switch (event.type) {
      case 'link.state':
        if (event.state.type === 'up' && event.state.attempts > 0)
          log.info(`${label} answers again after ${attemptsOf(event.state.attempts)}; ${countOf(event.waiting)} waiting`);
        else if (event.state.type === 'down' || event.state.type === 'never reached') this.#writeFailure(event.state, event.waiting);
        break;
      case 'link.retry':
        this.#writeFailure(event, event.waiting);
        break;
      case 'link.refused': {
        const text = `${label} rejected ${event.id}, dropped: ${clean(event.reason, 300)}`;
        // A server that rejects everything is logged once, not once per dict; its counter has them all.
        if (event.isRepeated || !this.#refusals.warn(text)) log.debug(text);
        break;
      }
      case 'link.dropped':
        log.warn(`${label}: lost ${countOf(event.count)} still waiting ${event.reason}`);
        break;
      case 'link.carrier':
        if (event.state === 'connected') {
          if (event.attempts > 0) log.info(`${label} is connected again after ${attemptsOf(event.attempts)}`);
        } else if (event.state === 'lost') log.warn(`${label}: connection lost: ${event.reason}`);
        // Further failures are like the first, and the link reports them for what waits.
        else log[event.attempts === 1 ? 'warn' : 'debug'](`${label}: cannot connect: ${event.reason}`);
    }
  }

  #writeFailure({ attempt, reason, delayMs }: LinkFailure, waiting: number): void {
    const text = `${this.label} is down (${clean(reason, 300)}); ${countOf(waiting)} waiting, next attempt in ${delayMs} ms`;
    // Another reason needs another remedy, so it is a warning like the first one.
    if (attempt === 1) this.log.warn(text);
    else if (reason === this.#warnedOf || !this.#failures.warn(text)) {
      this.log.debug(text);
      return;
    }
    this.#warnedOf = reason;
  }
}

function countOf(count: number): string {
  return count === 1 ? '1 dict' : `${count === 0 ? 'no' : count} dicts`;
}

function attemptsOf(count: number): string {
  return count === 1 ? '1 attempt' : `${count} attempts`;
}

/** The logger of one piece of work or one endpoint, within the log of its plugin. */
import { clean } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import type { Logger } from '../../plugin/internal.ts';

/** A logger whose lines begin with the name of what is done, in brackets. */
export function loggerOf(name: string, log: Log): Logger {
  const prefix = `[${clean(name)}] `;
  return {
    debug: (text, ...more) => {
      log.debug(prefix + text, ...more);
    },
    info: (text, ...more) => {
      log.info(prefix + text, ...more);
    },
    warn: (text, ...more) => {
      log.warn(prefix + text, ...more);
    },
    error: (text, ...more) => {
      log.error(prefix + text, ...more);
    },
  };
}

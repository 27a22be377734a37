/** Reads the configuration anew and gives it to the running relay: on SIGHUP, and for `co2 reload`. */
import type { StartedRelay } from '../app.ts';
import { reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { startLogging } from './logging.ts';
import type { StartFlags } from './options.ts';
import { readOptions } from './read-options.ts';
import type { Read } from './read-options.ts';

type Report = ReturnType<StartedRelay['reconfigure']>;
export type Reload = () => Promise<Report>;

/** Flags, environment and the file are those of the start; a wrong file, or one that is gone, changes nothing, is logged, and rejects. One reload at a time. */
export function reloadOf(
  flags: StartFlags,
  relay: Pick<StartedRelay, 'reconfigure'>,
  started: Pick<Read, 'completed' | 'file'>,
  log: Log,
  clock?: Clock,
): Reload {
  let last: Promise<unknown> = Promise.resolve();
  const reload = async (): Promise<Report> => {
    try {
      const { options } = (await readOptions(flags, { file: started.file, clock })).completed;
      const report = relay.reconfigure(options);
      // Where the log goes to stays; only levels change.
      const { level, levels } = options.log;
      if (report.tookEffect.some((key) => key.startsWith('log.')))
        await startLogging({ log: { ...started.completed.options.log, level, levels } }, process.stderr);
      log.info(`reload: ${describe(report)}`);
      return report;
    } catch (error) {
      log.error(`reload refused, the old configuration stays: ${reasonOf(error).replace(/\s*\n\s*/g, ' ')}`);
      throw error;
    }
  };
  return () => {
    const next = last.then(reload);
    last = next.catch(() => undefined);
    return next;
  };
}

function describe({ tookEffect, needsRestart }: Report): string {
  if (tookEffect.length + needsRestart.length === 0) return 'nothing changed';
  const parts = [
    tookEffect.length > 0 ? `took effect: ${tookEffect.join(', ')}` : '',
    needsRestart.length > 0 ? `needs a restart: ${needsRestart.join(', ')}` : '',
  ];
  return parts.filter((part) => part !== '').join('; ');
}

/** The log lines of the store. */
import { clean } from '../core/core.ts';
import type { Log } from '../core/core.ts';
import type { StoreEvent } from './port.ts';

/** Logs what the store reports. */
export function logStoreEvent(event: StoreEvent, log: Pick<Log, 'info' | 'warn' | 'error'>): void {
  if (event.type === 'store.damage') {
    const { what, movedTo } = event;
    log.error(`the store is damaged: ${clean(what, 500)}${movedTo === undefined ? '' : `; what was there is in ${clean(movedTo, 500)}`}`);
    return;
  }
  const { state } = event;
  if (state.type === 'failed')
    log.error(`the store failed: ${clean(state.reason, 300)}; nothing more is stored until the disk works and the relay is restarted`);
  else if (state.type === 'disk-low')
    log.error(
      `the disk is nearly full (${Math.floor(state.freeBytes / 2 ** 20)} MiB free): nothing new is stored until some of it is free`,
    );
  else if (state.type === 'open') log.info('enough of the disk is free again: the store takes new data');
}

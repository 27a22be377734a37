/** The logger that can be injected into a plugin. */
import { format } from 'node:util';
import { hasTypeMark, markType } from '../core/core.ts';

const LOGGER_TYPE = Symbol.for('co2-relay.Logger.type');

/**
 * Writes to the category `plugin.<package>.<module>`. Texts may contain placeholders of util.format. It is a class rather than an interface
 * so that emitted metadata can refer to it.
 */
export abstract class Logger {
  abstract debug(text: string, ...more: unknown[]): void;
  abstract info(text: string, ...more: unknown[]): void;
  abstract warn(text: string, ...more: unknown[]): void;
  abstract error(text: string, ...more: unknown[]): void;

  static {
    markType(this, LOGGER_TYPE);
  }
}

/** True for the class {@link Logger} of this or of any other loaded copy of the package. */
export function isLoggerType(type: unknown): boolean {
  return hasTypeMark(type, LOGGER_TYPE);
}

/** Token of the plugin's logger: `constructor(@Inject(LOGGER) private readonly logger: Logger)`. */
export const LOGGER: symbol = Symbol.for('co2-relay.Logger');

/** The text of `log` and `debug`: strings as they are, other values as util.inspect formats them. */
export function formatLog(parts: readonly unknown[]): string {
  return format(...parts);
}

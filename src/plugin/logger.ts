/** The logger that can be injected into a plugin. */
import { format, inspect, types } from 'node:util';
import { hasTypeMark, markType } from '../core/core.ts';
import type { Log } from '../core/core.ts';

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

/** The logger of a plugin that is injected. It formats its lines by {@link formatLog}, and only those that are written. */
export function loggerFor(log: Log): Logger {
  return {
    debug: (...parts) => {
      if (log.isDebugEnabled()) log.debug(formatLog(parts));
    },
    info: (...parts) => {
      if (log.isInfoEnabled()) log.info(formatLog(parts));
    },
    warn: (...parts) => {
      log.warn(formatLog(parts));
    },
    error: (...parts) => {
      log.error(formatLog(parts));
    },
  };
}

// They keep a dict that is as large as a message may be from filling the log. util.inspect shows as many elements of an array.
const MAX_CHARACTERS = 64 * 1024;
const MAX_OBJECTS = 200;
const MAX_MEMBERS = 100;
// util.format shows no more levels.
const MAX_DEPTH = 5;

/** The text of a line: strings as they are, dicts as plain objects, and other values as util.inspect formats them. */
export function formatLog(parts: readonly unknown[]): string {
  const copies = new Map<object, object>();
  const text = format(...parts.map((part) => plain(part, copies)));
  const more = text.length - MAX_CHARACTERS;
  return more > 0 ? `${text.slice(0, MAX_CHARACTERS)}... ${more} more characters` : text;
}

/**
 * A copy of a dict that has the prototype of an object, since util.inspect writes `[Object: null prototype]` before each one without.
 * Arrays and plain objects are copied because they may contain dicts.
 */
function plain(value: unknown, copies: Map<object, object>, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype && prototype !== Array.prototype) return value;
  const known = copies.get(value);
  if (known) return known;
  if (copies.size >= MAX_OBJECTS) return shownAs('...');
  const isArray = Array.isArray(value);
  const copy: object = isArray ? [] : {};
  copies.set(value, copy);
  // util.inspect shows that there is a deeper level, but nothing of it.
  if (depth > MAX_DEPTH) return copy;
  // The others are only counted.
  if (isArray && value.length > MAX_MEMBERS)
    return Object.assign(
      copy,
      value,
      value.slice(0, MAX_MEMBERS).map((one) => plain(one, copies, depth + 1)),
    );
  const names = Reflect.ownKeys(value).filter((name) => !isArray || name !== 'length');
  for (const name of names.slice(0, MAX_MEMBERS)) {
    const member = Object.getOwnPropertyDescriptor(value, name);
    // A getter is shown as such, and not called.
    if (member)
      Object.defineProperty(copy, name, 'value' in member ? { ...member, value: plain(member.value, copies, depth + 1) } : member);
  }
  if (names.length > MAX_MEMBERS) Object.assign(copy, { '...': shownAs(`${names.length - MAX_MEMBERS} more members`) });
  return copy;
}

function shownAs(text: string): object {
  return { [inspect.custom]: () => text };
}

/** The access classes of methods, in which plugin authors, operators and the relay express rights. */

/** The classes: read (names, help, ping), message (notify), call (methods of plugins), admin (changes to the relay). */
export const ACCESS_CLASSES = ['read', 'message', 'call', 'admin'] as const;
/** One of {@link ACCESS_CLASSES}. */
export type AccessClass = (typeof ACCESS_CLASSES)[number];

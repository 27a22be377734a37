/** The classes of methods, by which everybody names rights: plugin authors, operators and the relay. */

/** Classes of methods: read (names, help, ping), message (notify), call (a plugin's method), admin (changes the relay). */
export const ACCESS_CLASSES = ['read', 'message', 'call', 'admin'] as const;
export type AccessClass = (typeof ACCESS_CLASSES)[number];

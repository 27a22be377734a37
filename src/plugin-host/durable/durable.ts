/** Durable satellites: their messages are stored before they are acknowledged, and each satellite is a cursor on what is stored. */
export { DurableMessages } from './durable-messages.ts';
export type { DurableMessagesParts, KeptCursor } from './durable-messages.ts';
export { durableDefaults, durableShape } from './options.ts';
export type { DurableOptions } from './options.ts';

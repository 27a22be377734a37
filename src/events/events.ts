/** Typed events: each part of the relay reports changes of state once, as data; logs, long polls, metrics and tests are subscribers. */
export { EventStream, NO_EVENTS, guarded } from './event-stream.ts';
export type { EmittedEvent, EventBatch, EventSink, EventStreamOptions, TypedEvent } from './event-stream.ts';

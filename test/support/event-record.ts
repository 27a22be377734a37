/** The events of a relay, or of one of its parts, so that a test can wait for one, past or future, or look back at them. */
import type { EventStream, TypedEvent } from '../../src/events/events.ts';
import { Gate } from './gate.ts';

/** Some properties of a value, at any depth; a pattern stands for the strings that match it. */
export type Like<T> = T extends string ? T | RegExp : T extends object ? { readonly [Key in keyof T]?: Like<T[Key]> } : T;

type Of<Event, Type> = Extract<Event, { readonly type: Type }>;

export class EventRecord<Event extends TypedEvent> {
  readonly all = new Gate<Event>();

  /** Records what the stream has kept and what it will report, except events of these types. */
  constructor(stream: EventStream<Event>, except: readonly Event['type'][] = []) {
    const record = (event: Event): void => {
      if (!except.includes(event.type)) this.all.push(event);
    };
    for (const { event } of stream.kept()) record(event);
    stream.subscribe(record);
  }

  /** The events of this type with these properties so far. */
  matching<Type extends Event['type']>(type: Type, like?: Like<Of<Event, Type>>): readonly Of<Event, Type>[] {
    return this.all.all.filter((event): event is Of<Event, Type> => event.type === type && isLike(event, like));
  }

  /** Resolves with the `count`th event of this type with these properties, past or future. */
  async event<Type extends Event['type']>(type: Type, like?: Like<Of<Event, Type>>, count = 1): Promise<Of<Event, Type>> {
    const found = await this.all.until((event) => event.type === type && isLike(event, like), count);
    return found[count - 1] as Of<Event, Type>;
  }
}

function isLike(value: unknown, like: unknown): boolean {
  if (like instanceof RegExp) return typeof value === 'string' && like.test(value);
  if (typeof like !== 'object' || like === null) return like === undefined || Object.is(value, like);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(like).every(([key, part]) => isLike((value as Readonly<Record<string, unknown>>)[key], part));
}

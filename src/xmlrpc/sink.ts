/** What a parse hands its values to. */
import type { Value } from '../values/values.ts';
import type { Content } from './content.ts';
import type { ScalarType } from './scalars.ts';

/** What becomes of the values; one sink builds them, one writes them canonically. */
export interface Sink {
  /** A scalar; `content` is its text until the next one comes. */
  scalar(type: ScalarType, value: Value, content: Content): void;
  /** An array or struct starts; `at` is the offset of its start tag. */
  open(kind: 'array' | 'struct', at: number): void;
  /** The name of the member that comes; false if this struct has it already. */
  member(name: string): boolean;
  /** The innermost array or struct ends; `end` is the offset after its end tag. */
  close(end: number): void;
}

/** The values of XML-RPC as plain JavaScript, and functions to freeze, copy, measure and walk them. */
export { describeValue, showValue } from './describe-value.ts';
export { FIRST_DATE_MS, LAST_DATE_MS, isoText } from './dates.ts';
export { ExactNumbers } from './exact-numbers.ts';
export type { ExactOf } from './exact-numbers.ts';
export { freezeDict, shareDict } from './freeze.ts';
export type { Frozen } from './freeze.ts';
export { memberPath, Walk } from './walk.ts';
export { decodedBytes, heldBytes } from './memory-size.ts';
export { Attempt, Dict, Double, Int64, dictOf, isDict, isDictType, numberOfType } from './value.ts';
export type { Sendable, Value } from './value.ts';
export type { WalkLevel } from './walk.ts';

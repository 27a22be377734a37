/** Converts JSON to the relay's values and back so that every type survives the round trip; see markers.ts and numbers.ts. */
export { frameLine, payloadText, readFrameLine } from './frame-line.ts';
export { readJson, readJsonInSlices } from './read.ts';
export type { JsonDocument, ReadOptions } from './read.ts';
export { writeJson, writeJsonInTurns } from './write.ts';

/** JSON <-> the relay's values, so that every type survives the round trip: the rule stands in markers.ts and numbers.ts. */
export { readJson, readJsonInSlices } from './read.ts';
export type { JsonDocument, ReadOptions } from './read.ts';
export { writeJson, writeJsonInTurns } from './write.ts';

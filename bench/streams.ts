/** What flows: frames of recordings. */
import { recordings } from './recordings.ts';
import type { Report } from './table.ts';

interface Settings {
  readonly isQuick: boolean;
  readonly say: (text: string) => void;
}

/** Takes a minute, or a quarter of it with `isQuick`. */
export async function streams(settings: Settings): Promise<Report> {
  const reports = [await recordings(settings)];
  return { figures: reports.flatMap(({ figures }) => figures), skipped: reports.flatMap(({ skipped }) => skipped) };
}

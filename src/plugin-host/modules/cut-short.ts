/** Recognizes a save that was cut short: editors, `cp` and `rsync --inplace` truncate a file before they write it. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { clean } from '../../core/core.ts';
import type { FoundModule } from './find.ts';
import type { CutShort } from './inputs.ts';
import { fileAt } from '../hosted/hosted.ts';
import type { PluginProblem } from '../hosted/hosted.ts';

/** The problem of a module that has no satellites and is to replace one that had some. */
export async function withoutSatellites({ module, file, root, path }: FoundModule): Promise<PluginProblem> {
  const size = await stat(join(root, path)).then(
    (status) => status.size,
    () => undefined,
  );
  const what = size === 0 ? 'the file is empty' : 'it no longer exports a class decorated with @Satellite';
  return { module, file: clean(file), reason: `${what}; save it again, or delete it to unload ${module}` };
}

const REASONS = {
  empty: 'the file is empty; save it again, or write a comment into it if it is to be empty',
  torn: 'the file changed while it was loaded; it is loaded again once the save is complete, or reload it',
} as const;

/** The problem of a module that is made of a file which is not whole. */
export function cutShortProblem(found: FoundModule, { path, kind }: CutShort): PluginProblem {
  return { module: found.module, file: fileAt(found, path), reason: REASONS[kind] };
}

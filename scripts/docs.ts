/** `npm run docs`: writes the pages that are generated from the sources. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formattedOptionsPage } from './options-page.ts';

const path = join(import.meta.dirname, '../docs/options.md');
writeFileSync(path, await formattedOptionsPage());
console.log(`wrote ${path}`);

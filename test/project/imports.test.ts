/** Checks the sources against the rules for imports, and that each part of the rules can fail. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { globSync } from 'glob';
import { checkImports, describe } from '../support/import-rules.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('the sources, plugins, examples, templates and config.ts obey the import rules', (t) => {
  const paths = globSync(['{src,plugins,examples,templates}/**/*.{ts,mts,js,mjs}', 'config.ts'], {
    cwd: root,
    posix: true,
    ignore: '**/node_modules/**',
  });
  t.true(paths.length > 20, 'the sources are found');
  const files = new Map(paths.sort().map((path) => [path, readFileSync(root + path, 'utf8')]));
  t.deepEqual(checkImports(files).map(describe), []);
});

/** A tree without violations; each case below adds one file. */
const GOOD = {
  'src/message/message.ts': "export * from './value.ts';\nimport { join } from 'node:path';",
  'src/message/value.ts': "import { z } from 'zod';\n// import '../relay/relay.ts'\nconst s = \"import '../relay/relay.ts'\";",
  'src/loader/loader.mjs': "import './hooks.mjs';",
  'src/loader/hooks.mjs': '',
  'src/xmlrpc/xmlrpc.ts': "import { Dict } from '../message/message.ts';",
  'src/plugin/plugin.ts': "import '../message/message.ts';",
  'src/plugin/internal.ts': '',
  'src/plugin-host/plugin-host.ts': "import '../plugin/plugin.ts';\nimport '../plugin/internal.ts';\nimport '../loader/loader.mjs';",
  'src/relay/relay.ts': "import '../plugin-host/plugin-host.ts';",
  'src/app.ts': "import './relay/relay.ts';\nimport './config/config.ts';",
  'src/config/config.ts': "import type { A } from '../relay/relay.ts';",
  'src/cli/main.ts': "const { createRelay } = await import('../app.ts');\nawait import(name);",
  'plugins/ham/spam.ts': "import { Plugin } from 'co2-relay';\nimport './_helper.ts';",
  'plugins/ham/_helper.ts': "import 'node:fs';",
  'config.ts': "import { defineConfig } from 'co2-relay/config';\nimport './plugins/ham/_helper.ts';",
};

const BAD: [what: string, file: string, source: string, violations: string[]][] = [
  [
    'an upward import',
    'src/xmlrpc/bad.ts',
    "import 'node:fs';\nimport { Relay } from '../relay/relay.ts';",
    ['src/xmlrpc/bad.ts:2 imports ../relay/relay.ts: xmlrpc may not import relay'],
  ],
  [
    'message importing what is above it',
    'src/message/bad.ts',
    "export { x } from '../xmlrpc/xmlrpc.ts';",
    ['src/message/bad.ts:1 imports ../xmlrpc/xmlrpc.ts: message may not import xmlrpc'],
  ],
  [
    'the loader importing anything',
    'src/loader/bad.mjs',
    "\n\nawait import('../message/message.ts');",
    ['src/loader/bad.mjs:3 imports ../message/message.ts: loader may not import message'],
  ],
  [
    'a type alone',
    'src/plugin/bad.ts',
    "export type A = import('../app.ts').A;",
    ['src/plugin/bad.ts:1 imports ../app.ts: plugin may not import app'],
  ],
  [
    'a file behind a public file',
    'src/relay/bad.ts',
    "import type { Value } from '../message/value.ts';",
    ['src/relay/bad.ts:1 imports ../message/value.ts: relay may import only the public file of message, src/message/message.ts'],
  ],
  [
    'a file behind the public file of the loader',
    'src/cli/bad.ts',
    "import '../loader/hooks.mjs';",
    ['src/cli/bad.ts:1 imports ../loader/hooks.mjs: cli may import only the public file of loader, src/loader/loader.mjs'],
  ],
  [
    'a second entry that is for another directory',
    'src/work/bad.ts',
    "import '../plugin/internal.ts';",
    ['src/work/bad.ts:1 imports ../plugin/internal.ts: work may import only the public file of plugin, src/plugin/plugin.ts'],
  ],
  [
    'a directory that is not in the table',
    'src/attic/attic.ts',
    "import '../message/message.ts';",
    ['src/attic/attic.ts:1 imports ../message/message.ts: the directory attic is not in the table of import rules'],
  ],
  [
    'out of src',
    'src/cli/bad.ts',
    "import '../../plugins/ham/spam.ts';",
    ['src/cli/bad.ts:1 imports ../../plugins/ham/spam.ts: src imports nothing of ours outside src'],
  ],
  [
    'the package by its name in src',
    'src/relay/bad.ts',
    "import 'co2-relay/config';",
    ['src/relay/bad.ts:1 imports co2-relay/config: src imports its own files by path, not by the name of the package'],
  ],
  [
    'a circle',
    'src/message/value.ts',
    "\nimport type { A } from './message.ts';",
    ['src/message/value.ts:2 imports ./message.ts: a circle: src/message/message.ts -> src/message/value.ts -> src/message/message.ts'],
  ],
  [
    'a file that imports itself',
    'src/message/self.ts',
    "import type { A } from './self.ts';",
    ['src/message/self.ts:1 imports ./self.ts: a circle: src/message/self.ts -> src/message/self.ts'],
  ],
  [
    'an upward import inside plugin-host',
    'src/plugin-host/modules/bad.ts',
    "import '../children/children.ts';",
    ['src/plugin-host/modules/bad.ts:1 imports ../children/children.ts: plugin-host/modules may not import plugin-host/children'],
  ],
  [
    'past the public file of a directory of plugin-host',
    'src/plugin-host/bad.ts',
    "import './hosted/swap.ts';",
    [
      'src/plugin-host/bad.ts:1 imports ./hosted/swap.ts: plugin-host may import only the public file of plugin-host/hosted, src/plugin-host/hosted/hosted.ts',
    ],
  ],
  [
    'a directory of plugin-host from outside',
    'src/relay/bad.ts',
    "import '../plugin-host/hosted/hosted.ts';",
    ['src/relay/bad.ts:1 imports ../plugin-host/hosted/hosted.ts: relay may not import plugin-host/hosted'],
  ],
  [
    'a plugin that reaches into src',
    'plugins/ham/bad.ts',
    "import '../../src/plugin/plugin.ts';",
    ['plugins/ham/bad.ts:1 imports ../../src/plugin/plugin.ts: plugins imports of ours only the package by its name'],
  ],
  [
    'config.ts that reaches into src',
    'config.ts',
    "import './src/config/config.ts';",
    ['config.ts:1 imports ./src/config/config.ts: config.ts imports of ours only the package by its name'],
  ],
  [
    'an example that leaves the repository',
    'examples/a.ts',
    "import '../../x.ts';",
    ['examples/a.ts:1 imports ../../x.ts: an import must not lead out of the repository'],
  ],
];

test('a valid tree has no violation', (t) => {
  t.deepEqual(checkImports(new Map(Object.entries(GOOD))), []);
});

for (const [what, file, source, violations] of BAD) {
  test(`the rules reject ${what}`, (t) => {
    t.deepEqual(checkImports(new Map(Object.entries({ ...GOOD, [file]: source }))).map(describe), violations);
  });
}

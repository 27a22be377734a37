/** Creates files from templates/: plugins and programs, renamed from ham.spam, and projects. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { clean, RelayError } from '../core/core.ts';
import { systemReason } from '../state/state.ts';

const TEMPLATES = new URL('../../templates/', import.meta.url);

/** A language in which plugins or programs are written. */
export interface Language {
  /** The directory in templates/. Its files make a working plugin called ham.spam. */
  readonly template: string;
  /** The plugin, its test, then further files. */
  readonly files: readonly string[];
  /** The paths of the files below the directory. By default they are next to each other in the directory of the package. */
  readonly hasOwnDirectory?: boolean;
  /** The default directory: `plugins` is the plugins directory of the configuration, `programs` a directory of that name. */
  readonly directory: 'plugins' | 'programs';
  /** The Debian packages that the language needs. */
  readonly packages: readonly string[];
  /** The `send` settings in config.ts that the XML-RPC library of the language requires. Default: none. */
  readonly send?: Readonly<Record<string, string>>;
  /** The command that runs the test; like `build`, with paths as the user sees them. */
  readonly test: (file: string, co2: string) => string;
  /** The command that compiles the program, and the file that it creates. Omitted if the language needs no compiler. */
  readonly build?: (file: string) => { readonly command: string; readonly exec: string };
}

const TYPESCRIPT: Language = {
  template: 'typescript',
  files: ['spam.ts', 'spam.test.ts'],
  directory: 'plugins',
  packages: [],
  test: (file, co2) => `${co2} test ${file}`,
};

const PYTHON: Language = {
  template: 'python',
  files: ['spam.py', 'spam_test.py'],
  directory: 'programs',
  packages: ['python3'],
  test: (file) => `python3 ${file}`,
};

const SHELL: Language = {
  template: 'shell',
  files: ['spam.sh', 'spam_test.sh'],
  directory: 'programs',
  packages: ['curl'],
  test: (file) => `sh ${file}`,
};

/** The languages by the value of `--lang`. */
export const LANGUAGES: Readonly<Record<string, Language>> = {
  typescript: TYPESCRIPT,
  javascript: {
    template: 'javascript',
    files: ['spam.mjs', 'spam.test.mjs'],
    directory: 'plugins',
    packages: [],
    test: (file, co2) => `${co2} test ${file}`,
  },
  python: PYTHON,
  perl: {
    template: 'perl',
    files: ['spam.pl', 'spam.t'],
    directory: 'programs',
    packages: ['perl', 'librpc-xml-perl'],
    test: (file) => `prove ${file}`,
  },
  ruby: {
    template: 'ruby',
    files: ['spam.rb', 'spam_test.rb'],
    directory: 'programs',
    packages: ['ruby', 'ruby-xmlrpc', 'ruby-minitest'],
    test: (file) => `ruby ${file}`,
  },
  c: {
    template: 'c',
    files: ['spam.c', 'spam_test.c', 'Makefile'],
    hasOwnDirectory: true,
    directory: 'programs',
    packages: ['gcc', 'libc6-dev', 'make', 'libxmlrpc-core-c3-dev'],
    // xmlrpc-c before 1.50 cannot read characters beyond U+FFFF.
    send: { astral: 'replace' },
    test: (file) => `make -C ${posix.dirname(file)} test`,
    build: (file) => ({ command: `make -C ${posix.dirname(file)}`, exec: file.replace(/\.c$/, '') }),
  },
  go: {
    template: 'go',
    files: ['spam.go', 'spam_test.go', 'xmlrpc.go', 'go.mod'],
    hasOwnDirectory: true,
    directory: 'programs',
    packages: ['golang-go'],
    test: (file) => `(cd ${posix.dirname(file)} && go test)`,
    build: (file) => ({ command: `(cd ${posix.dirname(file)} && go build)`, exec: file.replace(/\.go$/, '') }),
  },
  php: {
    template: 'php',
    files: ['spam.php', 'spam_test.php'],
    directory: 'programs',
    packages: ['php-cli', 'php-xml'],
    test: (file) => `php ${file}`,
  },
  java: {
    template: 'java',
    // A file that Java compiles when it starts must not end with .java.
    files: ['spam', 'spam_test.java'],
    directory: 'programs',
    packages: ['default-jdk-headless'],
    test: (file) => `java ${file}`,
  },
  sh: SHELL,
};

/** A kind of plugin (`--kind`). */
export interface Kind {
  /** The languages that have a template for it, by the value of `--lang`. */
  readonly languages: Readonly<Record<string, Language>>;
  /** What it is, for the help. */
  readonly help: string;
  /** A command that tries the plugin of this module. */
  readonly attempt: (module: string, co2: string) => string;
}

function endpointSteps(role: string, module: string, co2: string): string {
  const service = `services: { web: { ${role}: { one: { type: '${module}', cfg: { file: '/tmp/nodes' } } } } }`;
  return `${service} in config.ts; then ${co2} service status web`;
}

/** The kinds by the value of `--kind`. */
export const KINDS: Readonly<Record<string, Kind>> = {
  plugin: {
    languages: LANGUAGES,
    help: 'methods and messages (the default)',
    attempt: (module, co2) => `${co2} call ${module}.add 2 3`,
  },
  work: {
    languages: {
      typescript: { ...TYPESCRIPT, template: 'typescript-work' },
      python: { ...PYTHON, template: 'python-work' },
      sh: { ...SHELL, template: 'shell-work' },
    },
    help: 'units of work (co2 work), in TypeScript, Python or sh',
    attempt: (module, co2) => `echo one two | ${co2} work submit ${module}:count --payload - --follow`,
  },
  datasource: {
    languages: { typescript: { ...TYPESCRIPT, template: 'typescript-datasource' } },
    help: 'a datasource (co2 record), in TypeScript',
    attempt: (module, co2) => `${co2} record start ${module} && ${co2} record tail ${module}`,
  },
  controller: {
    languages: { typescript: { ...TYPESCRIPT, template: 'typescript-controller' } },
    help: 'a controller (co2 command), in TypeScript',
    attempt: (module, co2) => `${co2} command ${module} --data '{"from": 3}'`,
  },
  watcher: {
    languages: { typescript: { ...TYPESCRIPT, template: 'typescript-watcher' } },
    help: 'a watcher, which reports nodes to a service (co2 service), in TypeScript',
    attempt: (module, co2) => endpointSteps('watchers', module, co2),
  },
  reactor: {
    languages: { typescript: { ...TYPESCRIPT, template: 'typescript-reactor' } },
    help: 'a reactor, which acts on the changes of a service, in TypeScript',
    attempt: (module, co2) => endpointSteps('reactors', module, co2),
  },
};

/** A plugin to create. */
export interface NewPlugin {
  /** `ham/spam`: the file without its extension, below the directory. */
  readonly path: string;
  /** `ham.spam` */
  readonly module: string;
  /** `Spam` */
  readonly className: string;
}

/** The naming rules of a plugins directory: which module each of these files is, or why it is rejected. */
type NameFiles = (files: readonly string[]) => readonly {
  readonly file: string;
  readonly module: string;
  readonly refused?: string | undefined;
}[];

/**
 * The plugin with this name. `existing` are the files of the plugins directory; a file that it would replace causes no conflict.
 * Throws a RelayError CONFIG_INVALID if the name is invalid or in use.
 */
export function planPlugin(name: string, existing: readonly string[], nameFiles: NameFiles, extension = 'ts'): NewPlugin {
  const path = name.replace(/\.(?:m?[tj]s|py|pl|rb|c|go|php|java|sh)$/, '');
  const refuse = (reason: string): never => {
    throw new RelayError('CONFIG_INVALID', `invalid plugin name '${clean(name, 80)}': ${reason}`);
  };
  if (!/^[^/\\]+\/[^/\\]+$/.test(path)) {
    const parts = path.split(/[./\\]+/).filter((part) => part !== '');
    const meant = parts.length === 2 ? parts.join('/') : 'ham/spam';
    return refuse(`expected package/module, such as ${clean(meant, 80)}`);
  }
  const file = `${path}.${extension}`;
  const named = nameFiles([...existing.filter((other) => other !== file), file]).find((one) => one.file === file);
  if (!named)
    return refuse('a name with a leading "_" or with ".test" or ".config" at its end is a helper, and node_modules belongs to npm');
  if (named.refused !== undefined) return refuse(named.refused);
  return { path, module: named.module, className: classNameOf(path) };
}

/** `ham/my-spam` -> `MySpam`. */
function classNameOf(path: string): string {
  const words = fileNameOf(path).split(/[-_]+/);
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return /^[A-Za-z]/.test(name) ? name : `Plugin${name}`;
}

/** `ham/spam` -> `spam`. */
function fileNameOf(path: string): string {
  return path.slice(path.indexOf('/') + 1);
}

/** A file to create. */
export interface NewFile {
  /** The path below the directory, separated by `/`. */
  readonly path: string;
  readonly source: string;
}

/** Returns the files of the template with ham.spam replaced by the name of the plugin. */
export function filesOf({ template, files, hasOwnDirectory = false }: Language, plugin: NewPlugin): readonly NewFile[] {
  const directory = hasOwnDirectory ? plugin.path : posix.dirname(plugin.path);
  return files.map((file) => {
    const source = readTemplate(`${template}/${file}`);
    const name = renamed(file, plugin);
    // The test runner of Python imports its files by name, and a module name in Python contains no "-".
    const path = `${directory}/${file.endsWith('_test.py') ? name.replaceAll('-', '_') : name}`;
    return { path, source: renamed(source, plugin) };
  });
}

/** Reads a file below templates/. */
export function readTemplate(path: string): string {
  return readFileSync(new URL(path, TEMPLATES), 'utf8');
}

function renamed(text: string, { path, module, className }: NewPlugin): string {
  const names: Readonly<Record<string, string>> = { 'ham.spam': module, spam: fileNameOf(path), Spam: className };
  return text.replace(/\bham\.spam\b|\bspam(?=\b|_test)|\bSpam\b/g, (found) => names[found] ?? found);
}

/** Throws a RelayError CONFIG_INVALID with the first existing file and `remedy` if any of the files exists. */
export function requireNew(directory: string, files: readonly NewFile[], remedy: string): void {
  const first = files.map(({ path }) => join(directory, path)).find((path) => existsSync(path));
  if (first === undefined) return;
  const path = clean(relative(process.cwd(), first));
  throw new RelayError('CONFIG_INVALID', `${path} already exists; ${remedy}`);
}

/** Writes the file. Throws a RelayError CONFIG_INVALID if that fails. */
export function put(directory: string, { path, source }: NewFile): void {
  const target = join(directory, path);
  try {
    // The relay refuses to load files that other users may write to.
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    writeFileSync(target, source, { mode: source.startsWith('#!') ? 0o755 : 0o644 });
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `cannot write ${clean(target)}: ${clean(systemReason(error))}`, { cause: error });
  }
}

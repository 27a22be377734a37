/**
 * Plugins for the tests of the command: sources to be written into a plugins directory. They note what happens to them in the file $NOTES.
 */

const HEAD = `import { appendFileSync } from 'node:fs';
import { Exposed, Plugin, Satellite } from 'co2-relay';
const note = (text: string) => appendFileSync(process.env['NOTES'] ?? '/dev/null', text + '\\n');
`;

/** Notes its setup and its exit, and answers its name. */
export const noting = (name: string): string => `${HEAD}
@Satellite()
export class Noting extends Plugin {
  setup() { note('setup ${name}'); }
  exit() { note('exit ${name}'); }
  /** Answers who it is. */
  @Exposed({ params: [], returns: 'string' })
  who() { return '${name}'; }
}
`;

/** Does what a plugin must not do, when it is told to. */
export const NAUGHTY = `${HEAD}
@Satellite()
export class Naughty extends Plugin {
  exit() { note('exit naughty'); }
  @Exposed({ params: [] })
  forget() { void Promise.reject(new Error('a forgotten promise')); }
  @Exposed({ params: [] })
  explode() { setTimeout(() => { throw new Error('a bang in a timer'); }, 0); }
  @Exposed({ params: ['int'] })
  end(code: number) { process.exit(code); }
}
`;

/** Keeps a timer and never ends its exit. */
export const CLINGING = `${HEAD}
@Satellite()
export class Clinging extends Plugin {
  setup() { setInterval(() => {}, 1000); }
  exit() { console.error('clinging: exit begins'); return new Promise<void>(() => {}); }
}
`;

/** Throws in its setup. */
export const REFUSING = `${HEAD}
@Satellite()
export class Refusing extends Plugin {
  setup() { throw new Error('the key "colour" is missing'); }
  exit() { note('exit refusing'); }
}
`;

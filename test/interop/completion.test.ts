/** The scripts of `co2 completion` in bash, zsh and fish: what a person who presses Tab gets, methods of a running relay included. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PACKAGE_DIR, run, runCo2, startCo2 } from '../support/processes.ts';

const EGGS = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Spam extends Plugin { @Exposed() fry() { return 1; } }
`;

/** What is typed, and the words that may follow; a single one is inserted. */
const CASES: readonly (readonly [typed: string, words: readonly string[]])[] = [
  ['co2 watc', ['watch']],
  ['co2 plugin li', ['list']],
  ['co2 --url http://127.0.0.1:1 plugin dead', ['dead-letters']],
  ['co2 watch --cou', ['--count']],
  ['co2 plugin list --js', ['--json']],
  ['co2 work submit --pay', ['--payload']],
  ['co2 watch --hel', ['--help']],
  ['co2 completion fi', ['fish']],
  ['co2 call ham.sp', ['ham.spam.fry']],
];
const EXPECTED = CASES.map(([, words]) => words.join(' '));

// The completion engine itself, as bash calls it: the function that `complete` names, with the words of the line.
const BASH = `. "$1"; shift
name=$(complete -p co2); name=\${name#*-F }; name=\${name%% *}
for line in "$@"; do
  COMP_WORDS=($line); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMPREPLY=()
  "$name"
  echo "\${COMPREPLY[*]}"
done`;

const FISH = `source $argv[1]
for line in $argv[2..]
  complete -C $line | string replace -r '\\t.*' '' | string join ' '
end`;

// zsh completes only in its line editor, so a second zsh runs in a pseudo terminal; Ctrl-X shows its line.
const ZSH = `zmodload zsh/zpty
zpty shell "TERM=dumb zsh -f -i"
await() { local piece; REPLY=''; while zpty -r shell piece; do REPLY+=$piece; [[ $REPLY == *"$1"* ]] && return; done; exit 1 }
zpty -w shell "fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D; show() { print -r -- \\"<\\$BUFFER>\\"; BUFFER= }; zle -N show; bindkey '^X' show; echo re''ady"
await ready
for line in "\${@:2}"; do
  zpty -n -w shell "$line"$'\\t\\x18'
  await '>'
  REPLY=\${REPLY##*<}
  print -r -- \${\${(z)REPLY%%>*}[-1]}
done
zpty -d shell`;

/** Writes the script of a shell, and starts a relay that the command `co2` of the shell finds. */
async function prepare(t: ExecutionContext, shell: string, path: readonly string[]) {
  const relay = await startCo2(t, { files: { 'plugins/ham/spam.ts': EGGS } });
  const { code, stdout } = await runCo2(t, { args: ['completion', shell], cwd: relay.cwd }).exit;
  t.is(code, 0);
  const directory = join(relay.cwd, 'shell');
  mkdirSync(directory);
  const script = join(directory, ...path);
  writeFileSync(script, `${stdout.join('\n')}\n`);
  const command = join(directory, 'co2');
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${join(PACKAGE_DIR, 'bin', 'co2.mjs')}' "$@"\n`);
  chmodSync(command, 0o755);
  // Nothing of the person who runs the tests.
  const env = { HOME: directory, XDG_CONFIG_HOME: directory, PATH: `${directory}:${process.env.PATH ?? ''}`, CO2_URL: relay.url };
  return { script, directory, options: { cwd: relay.cwd, env } };
}

const typed = CASES.map(([line]) => line);

test('bash completes commands, subcommands, options, choices and methods', async (t) => {
  const { script, options } = await prepare(t, 'bash', ['co2.bash']);
  const { stdout, stderr } = await run(t, 'bash', ['--norc', '-c', BASH, 'bash', script, ...typed], options).exit;
  t.deepEqual([stdout, stderr], [EXPECTED, []]);
});

test('fish completes commands, subcommands, options, choices and methods', async (t) => {
  const { script, options } = await prepare(t, 'fish', ['co2.fish']);
  const { stdout, stderr } = await run(t, 'fish', ['--no-config', '-c', FISH, script, ...typed], options).exit;
  t.deepEqual([stdout, stderr], [EXPECTED, []]);
});

test('zsh completes commands, subcommands, options, choices and methods', async (t) => {
  const { directory, options } = await prepare(t, 'zsh', ['_co2']);
  const { stdout, stderr } = await run(t, 'zsh', ['-f', '-c', ZSH, 'zsh', directory, ...typed], options).exit;
  t.deepEqual([stdout, stderr], [EXPECTED, []]);
});

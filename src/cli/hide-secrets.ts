/** Options fit to be read over a shoulder: what is or may be a secret is not shown. Pure. */

// Below `plugins`, in the configuration of a relay plugin, and in what a program is given a secret may stand anywhere; in an option of ours none can, but in a URL.
const FOREIGN: readonly string[] = ['plugins', 'relayPlugins', 'programs'];
const SECRET = /pass|secret|token|credential|private|(api|access|auth|signing|encryption)[_-]?key/i;
const FLAG = /^(--?[^=\s]+)(=?)/;
const HIDDEN = '(hidden)';

/** A copy of the value of the option of this full name; what is deeper than a configuration ever is is not shown. */
export function withoutSecrets(option: string, value: unknown): unknown {
  if (option === 'programs' && Array.isArray(value)) return value.map(ofProgram);
  return hidden(value, FOREIGN.includes(option));
}

function ofProgram(record: unknown): unknown {
  if (!isTree(record)) return hidden(record, true);
  const { args, env, ...rest } = record;
  return {
    ...(hidden(rest, true) as object),
    ...(Array.isArray(args) && { args: withoutSecretFlags(args).map((arg) => hidden(arg, true)) }),
    // What a program is given this way and not as an argument is mostly what nobody should see.
    ...(isTree(env) && { env: Object.fromEntries(Object.keys(env).map((name) => [name, HIDDEN])) }),
  };
}

/** `--token=wonder`, and `--token wonder`. */
function withoutSecretFlags(args: readonly unknown[]): readonly unknown[] {
  let isSecretNext = false;
  return args.map((arg) => {
    const [, flag = '', equals = ''] = typeof arg === 'string' ? (FLAG.exec(arg) ?? []) : [];
    const isSecret = isSecretNext && flag === '';
    isSecretNext = SECRET.test(flag) && equals === '';
    if (isSecret) return HIDDEN;
    return SECRET.test(flag) && equals !== '' ? `${flag}=${HIDDEN}` : arg;
  });
}

/** `isForeign`: names that sound like a secret tell one. */
function hidden(value: unknown, isForeign: boolean, name = '', depth = 0): unknown {
  if (isForeign && SECRET.test(name)) return HIDDEN;
  if (typeof value === 'string') return hideCredentials(value);
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? String(value) : value;
  if (depth > 20) return '…';
  if (Array.isArray(value)) return value.map((part) => hidden(part, isForeign, '', depth + 1));
  if (!isTree(value)) return '(an object)';
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, hidden(part, isForeign, key, depth + 1)]));
}

function hideCredentials(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, `$1${HIDDEN}@`);
}

/** True for what is written as `{...}`, not for a Date or what a class made. */
export function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

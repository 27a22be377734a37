/** The documentation of a method as servers send it: often a Python docstring, its lines indented, with `@param TYPE NAME text` and `@return TYPE text`. Pure. */

/** What is said of one parameter. */
export interface DocumentedParam {
  readonly name: string;
  readonly text: string;
}

export interface Documentation {
  /** Without the indentation of the source, and without what is said of parameters and the result. */
  readonly text: string;
  readonly params: readonly DocumentedParam[];
  /** What is said of the result; `''` for nothing. */
  readonly returns: string;
}

// Names of types, in XML-RPC and as programmers say them: the word before a parameter's name.
const TYPE =
  /^(?:int|integer|i4|i8|double|float|bool|boolean|str|string|datetime|dateTime\.iso8601|base64|binary|array|list|struct|dict|nil|any)$/i;
const TAG = /^@(param|returns?)\b[ \t]*(.*)$/;
// Longer documentation is a book: nobody reads it in a terminal.
const MAX_LENGTH = 20_000;

/** Takes a text apart. */
export function readDocumentation(help: string): Documentation {
  const text: string[] = [];
  const tags: { readonly kind: string; said: string }[] = [];
  let isInTag = false;
  for (const line of withoutIndent(help.slice(0, MAX_LENGTH))) {
    const [, kind, said = ''] = TAG.exec(line.trimStart()) ?? [];
    const last = tags.at(-1);
    if (kind !== undefined) tags.push({ kind, said });
    // A tag goes on up to an empty line.
    else if (last && isInTag && line !== '') last.said += ` ${line.trim()}`;
    else text.push(line);
    isInTag = kind !== undefined || (isInTag && line !== '');
  }
  return {
    text: text
      .join('\n')
      .replace(/\n{3,}/g, '\n\n')
      .trim(),
    params: tags.filter(({ kind }) => kind === 'param').flatMap(({ said }) => paramIn(said)),
    returns: tags
      .filter(({ kind }) => kind !== 'param')
      .map(({ said }) => resultIn(said))
      .join(' '),
  };
}

/** Lines without the indentation that all but the first share, as Python's inspect.cleandoc has it. */
function withoutIndent(text: string): string[] {
  const [first = '', ...rest] = text.replaceAll('\t', '    ').split(/\r\n|[\n\r\u2028\u2029]/);
  const indents = rest.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
  const indent = indents.reduce((least, one) => Math.min(least, one), Infinity);
  return [first.trim(), ...rest.map((line) => line.slice(Math.min(indent, line.length)).trimEnd())];
}

/** `TYPE NAME text`, or `NAME text`. */
function paramIn(said: string): readonly DocumentedParam[] {
  const words = said.trim().split(/\s+/);
  const [name = '', ...text] = TYPE.test(words[0] ?? '') && words.length > 1 ? words.slice(1) : words;
  return name === '' ? [] : [{ name, text: text.join(' ') }];
}

/** `TYPE text`, `TYPE result   text`, or `text`. */
function resultIn(said: string): string {
  const [, first = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(said.trim()) ?? [];
  const text = TYPE.test(first) ? rest.replace(/^(?:result +|\w+ {2,})(?=\S)/, '') : said;
  return text.trim().replace(/\s+/g, ' ');
}

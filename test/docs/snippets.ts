/** The code in a page of the documentation, each piece under the name that a comment above it gives: `<!-- test: name -->`. */

export interface Snippet {
  readonly name: string;
  readonly language: string;
  readonly source: string;
}

/**
 * The fenced pieces of a page, in order. Throws an Error that names the line of one without a name, of a name without code, and of a name
 * that is there twice.
 */
export function snippetsOf(page: string): readonly Snippet[] {
  const found: Snippet[] = [];
  const lines = page.split('\n');
  let name: string | undefined;
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? '';
    const at = `line ${index + 1}`;
    const marker = /^<!-- test: (\S+) -->$/.exec(line)?.[1];
    const language = /^```(\S*)$/.exec(line)?.[1];
    if (marker !== undefined) {
      if (name !== undefined || found.some((other) => other.name === marker))
        throw new Error(`${at}: ${marker} follows a name, or is there twice`);
      name = marker;
    } else if (language !== undefined) {
      if (name === undefined) throw new Error(`${at}: code without <!-- test: name --> above it; what no test runs is wrong some day`);
      const end = lines.indexOf('```', index + 1);
      if (end === -1) throw new Error(`${at}: the code has no end`);
      found.push({ name, language, source: `${lines.slice(index + 1, end).join('\n')}\n` });
      name = undefined;
      index = end;
    } else if (line.trim() !== '' && line !== '<!-- prettier-ignore -->' && name !== undefined)
      throw new Error(`${at}: ${name} has no code`);
  }
  if (name !== undefined) throw new Error(`${name} has no code`);
  return found;
}

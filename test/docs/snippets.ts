/** Finds the code snippets in a page of the documentation; a comment above each one names it: `<!-- test: name -->`. */

export interface Snippet {
  readonly name: string;
  readonly language: string;
  readonly source: string;
}

/**
 * The fenced snippets of a page, in order. Throws an Error with the line of a snippet without a name, a name without a snippet, or a
 * duplicate.
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
        throw new Error(`${at}: ${marker} follows another name, or is used twice`);
      name = marker;
    } else if (language !== undefined) {
      if (name === undefined) throw new Error(`${at}: code without <!-- test: name --> above it; every snippet must be run by a test`);
      const end = lines.indexOf('```', index + 1);
      if (end === -1) throw new Error(`${at}: the code block is not closed`);
      found.push({ name, language, source: `${lines.slice(index + 1, end).join('\n')}\n` });
      name = undefined;
      index = end;
    } else if (line.trim() !== '' && line !== '<!-- prettier-ignore -->' && name !== undefined)
      throw new Error(`${at}: ${name} has no code`);
  }
  if (name !== undefined) throw new Error(`${name} has no code`);
  return found;
}

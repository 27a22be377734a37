// @ts-check
/** Explains why a module does not compile, and generates a module that throws the explanation when it is imported. */

/** The mark of a CompileError, the same for every copy of the package. */
export const COMPILE_ERROR = Symbol.for('co2-relay.CompileError');

/** @typedef {{ file: string, line: number, column: number, reason: string, frame: string }} Explanation */

/** Lines shown before and after the place. */
const FRAME_LINES = 2;
/** Characters of a line in the frame; minified code has lines of megabytes. */
const FRAME_WIDTH = 160;

/**
 * Parses the report of the compiler, of which only the drawing shows the exact place:
 *
 *       x Unexpected character '#'
 *        ,-[/tmp/a.ts:2:1]
 *      2 | let b = #;
 *        :         ^
 *
 * @param {unknown} error
 * @param {string} source
 * @param {string} file
 * @returns {Explanation}
 */
export function explainSyntaxError(error, source, file) {
  // eslint-disable-next-line no-control-regex -- colors begin with ESC
  const report = String(error instanceof Error ? error.message : error).replace(/\u001b\[[0-9;]*m/g, '');
  const rows = report.split('\n');
  const reason = (rows.find((row) => row.trim() !== '') ?? 'does not compile').replace(/^\s*[x×]\s+/, '').trim();
  const lines = source.split(/\r\n|[\n\r\u2028\u2029]/);
  let { line, column } = placeIn(rows, lines);
  line = Math.min(Math.max(line, 1), lines.length);
  column = Math.min(Math.max(column, 1), (lines[line - 1] ?? '').length + 1);
  return { file, line, column, reason, frame: frameOf(lines, line, column) };
}

/** @param {string[]} rows @param {string[]} lines */
function placeIn(rows, lines) {
  for (const [index, row] of rows.entries()) {
    const drawn = /^( *[:·] ?)([ ]*)[\^|]/.exec(row);
    const number = Number(/^ *(\d+) [|│]/.exec(rows[index - 1] ?? '')?.[1]);
    if (drawn && number) return { line: number, column: columnAt(lines[number - 1] ?? '', (drawn[2] ?? '').length) };
    if (/^ *`-/.test(row)) break;
  }
  const header = /,-\[.*:(\d+):(\d+)\]$/m.exec(rows.join('\n'));
  return { line: Number(header?.[1] ?? 1), column: Number(header?.[2] ?? 1) };
}

/**
 * The column (from 1, in UTF-16 units) of what is drawn after so many cells: a tab takes up to four, a wide character two.
 * @param {string} line
 * @param {number} cells
 */
function columnAt(line, cells) {
  let drawn = 0;
  let column = 1;
  for (const character of line) {
    if (drawn >= cells) break;
    if (character === '\t') drawn += 4 - (drawn % 4);
    else
      drawn +=
        /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]/u.test(
          character,
        )
          ? 2
          : 1;
    column += character.length;
  }
  return column;
}

/**
 * The lines around a place, which is marked; `line` and `column` count from 1.
 * @param {readonly string[]} lines
 * @param {number} line
 * @param {number} column
 */
export function frameOf(lines, line, column) {
  const last = Math.min(lines.length, line + FRAME_LINES);
  const width = String(last).length;
  const from = Math.max(0, column - FRAME_WIDTH / 2);
  const rows = [];
  for (let number = Math.max(1, line - FRAME_LINES); number <= last; number += 1) {
    const text = (lines[number - 1] ?? '').slice(from, from + FRAME_WIDTH);
    rows.push(`${number === line ? '>' : ' '} ${String(number).padStart(width)} | ${text}`.trimEnd());
    if (number === line) rows.push(`  ${' '.repeat(width)} | ${text.slice(0, column - 1 - from).replace(/[^\t]/gu, ' ')}^`);
  }
  return rows.join('\n');
}

/**
 * A module that replaces one that does not compile. It exports every name that the source seems to export, since an importer is linked
 * before anything runs and would fail with "does not provide an export named ..." instead.
 * @param {Explanation} explanation
 * @param {string} source
 */
export function failingModule(explanation, source) {
  const { file, line, column, reason, frame } = explanation;
  const message = `${file}:${line}:${column}: ${reason}`;
  const fields = { name: 'CompileError', ...explanation, stack: `CompileError: ${message}\n\n${frame}\n    at ${file}:${line}:${column}` };
  const exported = exportedNames(source).map((name) => `none as ${name}`);
  return [
    `let none; export { ${exported.join(', ')} };`,
    `const fields = JSON.parse(${JSON.stringify(JSON.stringify(fields))});`,
    `throw Object.assign(new Error(${JSON.stringify(message)}), fields, { [Symbol.for('co2-relay.CompileError')]: true });`,
  ].join(' ');
}

/** @param {string} source */
function exportedNames(source) {
  const names = new Set(['default']);
  const declaration =
    /^\s*export\s+(?:declare\s+|abstract\s+|async\s+)*(?:class|function\s*\*?|const\s+enum|const|let|var|enum|namespace|interface|type)\s+([\p{ID_Start}$_][\p{ID_Continue}$]*)/gmu;
  for (const match of source.matchAll(declaration)) names.add(match[1] ?? '');
  for (const list of source.matchAll(/^\s*export\s+(?:type\s+)?\{([^}]*)\}/gmu)) {
    for (const item of (list[1] ?? '').split(',')) {
      const name = /([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*$/u.exec(item)?.[1];
      if (name !== undefined) names.add(name);
    }
  }
  return [...names];
}

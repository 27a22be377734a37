/** Reads the names of a method's parameters from its source text, for introspection. Pure. */

// More than a list of parameters with default values and comments needs.
const MAX_TEXT = 10_000;
const NAME = /^[A-Za-z_$][\w$]{0,63}$/;
const TOKEN = /\/\*[^]*?\*\/|\/\/.*|'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"|=>|\.{3}|[\w$]+|\S/g;

/**
 * The names of the parameters, in order: `['a', 'b']` for `add(a, b = 1)`. A parameter that has no single name (`{ x, y }`) is `''`, and a
 * rest parameter is not included. Empty if the text cannot be read, like that of a native or bound function.
 */
export function parameterNames(method: (...params: never[]) => unknown): readonly string[] {
  return parametersIn(Function.prototype.toString.call(method).slice(0, MAX_TEXT))
    .filter(([first = '...']) => first !== '...')
    .map(([first = '', second = '=']) => (second === '=' && NAME.test(first) ? first : ''));
}

/** The words and signs of each parameter; the last one has none after a trailing comma. */
function parametersIn(text: string): readonly (readonly string[])[] {
  const parameters: string[][] = [[]];
  let [depth, isInList] = [0, false];
  for (const [token] of text.matchAll(TOKEN)) {
    if (token.startsWith('/*') || token.startsWith('//')) continue;
    // A template or a regular expression in a default value, whose end is hard to find, or `a => ...`, which has no list.
    if (token === '`' || token === '/' || (token === '=>' && depth === 0)) return [];
    if ('([{'.includes(token)) {
      depth++;
      // A computed name, `['add'](a)`, comes before the list.
      if (depth === 1 && token === '(') {
        isInList = true;
        continue;
      }
    } else if (')]}'.includes(token)) {
      depth--;
      if (depth === 0 && isInList) return parameters;
    }
    if (!isInList) continue;
    if (depth === 1 && token === ',') parameters.push([]);
    else parameters.at(-1)?.push(token);
  }
  return [];
}

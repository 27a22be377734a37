/** One string object per element name of XML-RPC, so that the hot path neither copies nor hashes the names that it reads. */

const COMMON = (
  'methodCall methodResponse methodName fault params param value array data struct member name ' +
  'int i4 i8 double boolean string base64 dateTime.iso8601 nil ex:nil ex:i8'
).split(' ');
const SLOTS = 256;
const table = new Array<string | undefined>(SLOTS).fill(undefined);
for (const name of COMMON) table[slotOf(name, 0, name.length)] = name;

/** `source.slice(from, to)`; without a copy if it is one of the common names. */
export function elementName(source: string, from: number, to: number): string {
  const known = table[slotOf(source, from, to)];
  return known?.length === to - from && source.startsWith(known, from) ? known : source.slice(from, to);
}

// Two names in one slot cost a copy, never a wrong answer.
function slotOf(source: string, from: number, to: number): number {
  return ((to - from) * 31 + source.charCodeAt(from) * 7 + source.charCodeAt(to - 1)) % SLOTS;
}

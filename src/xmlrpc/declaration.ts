/** The XML declaration `<?xml version="1.0" …?>`: [23] to [26], [32] and [80] of XML 1.0. */
import { QUESTION } from './chars.ts';
import { refuse } from './refuse.ts';

// Every repetition is over one class and is followed by another one, within this many bytes; a longer declaration is refused.
const DECLARATION_BYTES = 512;
const START = Buffer.from('<?xml');
const DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.0"|'1\.0')(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"([A-Za-z][A-Za-z0-9._-]*)"|'([A-Za-z][A-Za-z0-9._-]*)'))?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>/;
const OTHER_VERSION = /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*["']1\.(?!0["'])[0-9]{1,9}["']/;

// As nearly everybody writes it; these need no string made of them.
const USUAL = [
  '<?xml version="1.0"?>',
  '<?xml version="1.0" encoding="UTF-8"?>',
  '<?xml version="1.0" encoding="utf-8"?>',
  "<?xml version='1.0'?>",
].map((text) => ({ bytes: Buffer.from(text), encoding: text.includes('encoding') ? 'utf-8' : undefined }));

/** The encoding that the document's declaration names; undefined if it has none, or is refused later. */
export function declaredEncoding(bytes: Buffer): string | undefined {
  // Most documents have no declaration, and need no string made of their start.
  if (bytes[1] !== QUESTION) return undefined;
  const usual = usualOf(bytes);
  if (usual) return usual.encoding;
  const match = DECLARATION.exec(bytes.toString('latin1', 0, DECLARATION_BYTES));
  return match?.[1] ?? match?.[2];
}

/** The offset after the declaration, 0 if the document has none; a malformed one is refused. */
export function declarationEnd(bytes: Buffer): number {
  if (!startsWith(bytes, START)) return 0;
  const usual = usualOf(bytes);
  if (usual) return usual.bytes.length;
  const head = bytes.toString('latin1', 0, DECLARATION_BYTES);
  if (!/^<\?xml[ \t\r\n?]/.test(head)) return 0;
  const match = DECLARATION.exec(head);
  if (match) return match[0].length;
  return refuse('NOT_WELL_FORMED', 0, OTHER_VERSION.test(head) ? 'only XML 1.0 is read here' : 'the XML declaration is malformed');
}

function usualOf(bytes: Buffer): (typeof USUAL)[number] | undefined {
  for (const usual of USUAL) if (startsWith(bytes, usual.bytes)) return usual;
  return undefined;
}

function startsWith(bytes: Buffer, start: Buffer): boolean {
  for (let i = 0; i < start.length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

/** The XML declaration `<?xml version="1.0" …?>`: [23] to [26], [32] and [80] of XML 1.0. */
import { QUESTION } from '../chars.ts';
import { refuse } from './parse-error.ts';

// The expression looks at no more bytes; a longer declaration is refused. Each of its repetitions is followed by another class, so it is
// linear.
const DECLARATION_BYTES = 512;
const START = Buffer.from('<?xml');
const DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.0"|'1\.0')(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"([A-Za-z][A-Za-z0-9._-]*)"|'([A-Za-z][A-Za-z0-9._-]*)'))?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>/;
const OTHER_VERSION = /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*["']1\.(?!0["'])[0-9]{1,9}["']/;

// The usual spellings, which are recognised without converting the bytes to a string.
const USUAL = [
  '<?xml version="1.0"?>',
  '<?xml version="1.0" encoding="UTF-8"?>',
  '<?xml version="1.0" encoding="utf-8"?>',
  "<?xml version='1.0'?>",
].map((text) => ({ bytes: Buffer.from(text), encoding: text.includes('encoding') ? 'utf-8' : undefined }));

/** The encoding that the XML declaration names; undefined if there is none, or if the declaration is refused later. */
export function declaredEncoding(bytes: Buffer): string | undefined {
  if (bytes[1] !== QUESTION) return undefined;
  const usual = usualOf(bytes);
  if (usual) return usual.encoding;
  const match = DECLARATION.exec(bytes.toString('latin1', 0, DECLARATION_BYTES));
  return match?.[1] ?? match?.[2];
}

/** The offset after the declaration, 0 if there is none; refuses a malformed one. */
export function declarationEnd(bytes: Buffer): number {
  if (!startsWith(bytes, START)) return 0;
  const usual = usualOf(bytes);
  if (usual) return usual.bytes.length;
  const head = bytes.toString('latin1', 0, DECLARATION_BYTES);
  if (!/^<\?xml[ \t\r\n?]/.test(head)) return 0;
  const match = DECLARATION.exec(head);
  if (match) return match[0].length;
  return refuse('NOT_WELL_FORMED', 0, OTHER_VERSION.test(head) ? 'only XML 1.0 is supported' : 'the XML declaration is malformed');
}

function usualOf(bytes: Buffer): (typeof USUAL)[number] | undefined {
  for (const usual of USUAL) if (startsWith(bytes, usual.bytes)) return usual;
  return undefined;
}

function startsWith(bytes: Buffer, start: Buffer): boolean {
  for (let i = 0; i < start.length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

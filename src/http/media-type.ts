/** Which bodies are read at all: exactly the declared media types, never a form or text/plain that a page could send. Pure. */
import { clean } from '../message/message.ts';
import type { Refusal } from './guard.ts';

/** The charset parameter if it is there. */
export interface XmlType {
  readonly charset: string | undefined;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}";
const XML = new RegExp(`^(?:text|application)/xml((?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|"[^"\\\\\\r\\n]{0,64}"))*)[ \\t]*;?[ \\t]*$`, 'i');
const CHARSET = new RegExp(`;[ \\t]*charset=(?:"([^"]*)"|(${TOKEN}))`, 'gi');
// Longer than any real one; keeps the expression above short of work.
const MAX_LENGTH = 300;

/** Reads a Content-Type header of the RPC door; what is no XML gets a text that says what to send. */
export function readMediaType(header: string | undefined): XmlType | Refusal {
  if (header === undefined) return refused('the request has no Content-Type');
  const parameters = header.length <= MAX_LENGTH ? XML.exec(header.trim())?.[1] : undefined;
  if (parameters === undefined) return refused(`Content-Type is '${clean(header, 100)}'`);
  const charsets = [...parameters.matchAll(CHARSET)].map((match) => match[1] ?? match[2]);
  if (charsets.length > 1) return refused('Content-Type names two charsets');
  return { charset: charsets[0] };
}

/** Bodies are read as they are: no compression, which could grow without bound. */
export function refuseEncoding(header: string | undefined): Refusal | undefined {
  if (header === undefined || header.toLowerCase() === 'identity') return undefined;
  return { status: 415, text: `Content-Encoding '${clean(header, 50)}' is not read; send the XML as it is` };
}

function refused(found: string): Refusal {
  return { status: 415, text: `${found}; this door reads XML-RPC: send it with Content-Type: text/xml` };
}

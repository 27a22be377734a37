/** Parses the value of a Content-Type header (RFC 9110, 8.3.1). */

/** A media type with its parameters in order. */
export interface MediaType {
  /** Type and subtype in lower case: `text/xml`. */
  readonly type: string;
  /** Names in lower case; values without their quotes. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  /** False if the header continues with something that is not a parameter. */
  readonly isWellFormed: boolean;
}

// No repetition can match what follows it, so each expression is linear.
const TYPE = /^[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\/[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})/;
const PARAMETER = /[ \t]*;[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})=(?:"([^"\\\r\n]{0,300})"|([!#$%&'*+.^_`|~0-9A-Za-z-]{1,300}))/y;
const END = /[ \t]*(?:;[ \t]*)?$/y;

/** Reads type and parameters up to the first error; undefined if there is no type. */
export function parseMediaType(header: string): MediaType | undefined {
  const [start, type] = TYPE.exec(header) ?? [];
  if (start === undefined || type === undefined) return undefined;
  const parameters: [string, string][] = [];
  let at = start.length;
  for (;;) {
    PARAMETER.lastIndex = at;
    const [text, name = '', quoted, plain = ''] = PARAMETER.exec(header) ?? [];
    if (text === undefined) break;
    parameters.push([name.toLowerCase(), quoted ?? plain]);
    at += text.length;
  }
  END.lastIndex = at;
  return { type: type.toLowerCase(), parameters, isWellFormed: END.test(header) };
}

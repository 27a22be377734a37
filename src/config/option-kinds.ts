/** Of what kind an option is, read from its schema: so an environment variable, which is a text, becomes its value. */
import { z } from 'zod';

/** How the text of an environment variable becomes the value of an option. */
export type OptionKind = 'text' | 'number' | 'boolean' | 'switch' | 'list' | 'json';

/** The options of a schema by their full names (`outbox.maxMessages`), and of what kind each is. */
export function kindsOf(shape: Readonly<Record<string, z.core.$ZodType>>): ReadonlyMap<string, OptionKind> {
  const kinds = new Map<string, OptionKind>();
  for (const [key, schema] of Object.entries(shape)) {
    const inner = bare(schema);
    if (inner instanceof z.ZodObject) {
      for (const [name, below] of Object.entries<z.core.$ZodType>(inner.shape)) kinds.set(`${key}.${name}`, kindOf(below));
    } else kinds.set(key, kindOf(inner));
  }
  return kinds;
}

function kindOf(schema: z.core.$ZodType): OptionKind {
  const inner = bare(schema);
  // By the name of the type: a URL or an enum is a text too, but no ZodString.
  switch (inner._zod.def.type) {
    case 'string':
    case 'enum':
      return 'text';
    case 'literal':
      // Yes, no, or a word for how.
      return inner instanceof z.ZodLiteral && inner.values.has(true) ? 'switch' : 'text';
    case 'number':
    case 'boolean':
      return inner._zod.def.type;
    case 'array':
      return inner instanceof z.ZodArray && isTextual(inner.element) ? 'list' : 'json';
    case 'union':
      // One, or a list of them.
      return inner instanceof z.ZodUnion && inner.options.some((option) => kindOf(option) === 'list') ? 'list' : 'json';
    default:
      return 'json';
  }
}

/** True if a text can be of this type, whatever else can. */
function isTextual(schema: z.core.$ZodType): boolean {
  return schema instanceof z.ZodUnion ? schema.options.some((option) => kindOf(option) === 'text') : kindOf(schema) === 'text';
}

function bare(schema: z.core.$ZodType): z.core.$ZodType {
  const isWrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodReadonly;
  return isWrapped ? bare(schema.unwrap()) : schema;
}

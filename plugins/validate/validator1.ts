/**
 * UserLand's validator1 suite of 1999, for testing XML-RPC implementations; its names are prefixed: `validate.validator1.easyStructTest`.
 */
import { Double, Exposed, Fault, Plugin, Satellite, type Dict, type Sendable } from 'co2-relay';
import { z } from 'zod';

/** The members that three of the tests add up. */
const stooges = z.object({ moe: z.int32(), larry: z.int32(), curly: z.int32() });
type Stooges = z.infer<typeof stooges>;

/** Years of months of days; the test looks at one day. */
const calendar = z.object({ '2000': z.object({ '04': z.object({ '01': stooges }) }) });
type Calendar = z.infer<typeof calendar>;

/** The results of countTheEntities, by the character that they count. */
const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['<', 'ctLeftAngleBrackets'],
  ['>', 'ctRightAngleBrackets'],
  ['&', 'ctAmpersands'],
  ["'", 'ctApostrophes'],
  ['"', 'ctQuotes'],
]);

/** Has methods only: it neither receives nor sends messages. */
@Satellite()
export class Validator1 extends Plugin {
  /** Adds up the members curly of all structs of an array, each with moe, larry and curly. */
  @Exposed({ schema: z.tuple([z.array(stooges)]), returns: 'int' })
  arrayOfStructsTest(structs: readonly Stooges[]): number {
    return int32(structs.reduce((sum, { curly }) => sum + curly, 0));
  }

  /** Counts the left and right angle brackets, ampersands, apostrophes and quotes of a text. */
  @Exposed({ params: ['string'], returns: 'struct' })
  countTheEntities(text: string): Sendable {
    const counts = new Map([...ENTITIES.values()].map((counter) => [counter, 0]));
    for (const char of text) {
      const counter = ENTITIES.get(char);
      if (counter !== undefined) counts.set(counter, (counts.get(counter) ?? 0) + 1);
    }
    return counts;
  }

  /** Adds the members moe, larry and curly of a struct. */
  @Exposed({ schema: z.tuple([stooges]), returns: 'int' })
  easyStructTest({ moe, larry, curly }: Stooges): number {
    return int32(moe + larry + curly);
  }

  /** Returns the struct that it is given. */
  @Exposed({ params: ['struct'], returns: 'struct' })
  echoStructTest(struct: Dict): Dict {
    return struct;
  }

  /** Returns its six parameters as an array. */
  @Exposed({ params: ['int', 'boolean', 'string', 'double', 'dateTime.iso8601', 'base64'], returns: 'array' })
  manyTypesTest(int: number, boolean: boolean, text: string, double: number, date: Date, bytes: Buffer): Sendable {
    // Inside an array no signature declares that a whole number is a double.
    return [int, boolean, text, new Double(double), date, bytes];
  }

  /** Joins the first and the last text of an array. */
  @Exposed({ schema: z.tuple([z.array(z.string()).min(1)]), returns: 'string' })
  moderateSizeArrayCheck(texts: readonly string[]): string {
    return `${texts.at(0) ?? ''}${texts.at(-1) ?? ''}`;
  }

  /** Adds moe, larry and curly of April 1, 2000 in a struct of years, months and days: `{'2000': {'04': {'01': {moe, larry, curly}}}}`. */
  @Exposed({ schema: z.tuple([calendar]), returns: 'int' })
  nestedStructTest(years: Calendar): number {
    const { moe, larry, curly } = years['2000']['04']['01'];
    return int32(moe + larry + curly);
  }

  /** Returns ten, a hundred and a thousand times a number, as times10, times100 and times1000. */
  @Exposed({ params: ['int'], returns: 'struct' })
  simpleStructReturnTest(number: number): Sendable {
    return { times10: int32(number * 10), times100: int32(number * 100), times1000: int32(number * 1000) };
  }
}

/** The result as an `<int>`, which clients of these tests expect. */
function int32(result: number): number {
  if ((result | 0) === result) return result;
  throw new Fault(1, 'the result is beyond 32 bits');
}

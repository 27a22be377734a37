/**
 * The interopEchoTests suite of 2001, by which XML-RPC toolkits are held against each other: its own names with `validate.` in front,
 * `validate.interopEchoTests.echoString`.
 */
import { Double, Exposed, Plugin, Satellite, type Dict, type Sendable, type Value } from 'co2-relay';
import { z } from 'zod';

/** Only answers calls: it neither receives nor sends. */
@Satellite()
export class InteropEchoTests extends Plugin {
  /** Answers the text that it is given. */
  @Exposed({ params: ['string'], returns: 'string' })
  echoString(text: string): string {
    return text;
  }

  /** Answers the integer that it is given. */
  @Exposed({ params: ['int'], returns: 'int' })
  echoInteger(int: number): number {
    return int;
  }

  /** Answers the double that it is given, as a double. */
  @Exposed({ params: ['double'], returns: 'double' })
  echoFloat(double: number): number {
    return double;
  }

  /** Answers the boolean that it is given. */
  @Exposed({ params: ['boolean'], returns: 'boolean' })
  echoBoolean(boolean: boolean): boolean {
    return boolean;
  }

  /** Answers the struct that it is given; its member varFloat, if it is a number, as a double. */
  @Exposed({ params: ['struct'], returns: 'struct' })
  echoStruct(struct: Dict): Sendable {
    return withDouble(struct);
  }

  /** Answers the date that it is given. */
  @Exposed({ params: ['dateTime.iso8601'], returns: 'dateTime.iso8601' })
  echoDate(date: Date): Date {
    return date;
  }

  /** Answers the bytes that it is given. */
  @Exposed({ params: ['base64'], returns: 'base64' })
  echoBase64(bytes: Buffer): Buffer {
    return bytes;
  }

  /** Answers whatever it is given. A double that is whole comes back as an int: what type it had is not known here. */
  @Exposed({ params: ['any'], returns: 'any' })
  echoValue(value: Value): Value {
    return value;
  }

  /** Answers the array of texts that it is given. */
  @Exposed({ schema: z.tuple([z.array(z.string())]), returns: 'array' })
  echoStringArray(texts: readonly string[]): Sendable {
    return texts;
  }

  /** Answers the array of integers that it is given. */
  @Exposed({ schema: z.tuple([z.array(z.int32())]), returns: 'array' })
  echoIntegerArray(ints: readonly number[]): Sendable {
    return ints;
  }

  /** Answers the array of doubles that it is given, as doubles. */
  @Exposed({ schema: z.tuple([z.array(z.number())]), returns: 'array' })
  echoFloatArray(doubles: readonly number[]): Sendable {
    return doubles.map((double) => new Double(double));
  }

  /** Answers the array of structs that it is given; their members varFloat as doubles. */
  @Exposed({ schema: z.tuple([z.array(z.custom<Dict>(isStruct, 'expected a struct'))]), returns: 'array' })
  echoStructArray(structs: readonly Dict[]): Sendable {
    return structs.map(withDouble);
  }

  /** Takes no parameters; answers an int. */
  @Exposed({ params: [], returns: 'int' })
  noInParams(): number {
    return 42;
  }

  /** Says what answers here: toolkitDocsUrl, toolkitName, toolkitVersion, toolkitOperatingSystem. */
  @Exposed({ params: [], returns: 'struct' })
  async whichToolkit(): Promise<Sendable> {
    const { versions } = (await this.call('system.get_properties')) as { readonly versions: Dict };
    return {
      toolkitDocsUrl: 'http://xmlrpc.com/spec.md',
      toolkitName: 'co2-relay',
      toolkitVersion: versions.co2_relay,
      toolkitOperatingSystem: versions.platform,
    };
  }
}

/** The member that the suite sends as a double as a double again: as a plain number a whole one would go out as an int. */
function withDouble(struct: Dict): Sendable {
  const { varFloat } = struct;
  if (typeof varFloat !== 'number') return struct;
  return new Map<string, Sendable>(Object.entries(struct)).set('varFloat', new Double(varFloat));
}

function isStruct(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return !(Array.isArray(value) || value instanceof Date || value instanceof Uint8Array);
}

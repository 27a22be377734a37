/**
 * The interopEchoTests suite of 2001, for comparing XML-RPC implementations; its names are prefixed:
 * `validate.interopEchoTests.echoString`.
 */
import { Double, Exposed, Plugin, Satellite, type Dict, type Sendable, type Value } from 'co2-relay';
import { z } from 'zod';

/** Has methods only: it neither receives nor sends messages. */
@Satellite()
export class InteropEchoTests extends Plugin {
  /** Returns the text that it is given. */
  @Exposed({ params: ['string'], returns: 'string' })
  echoString(text: string): string {
    return text;
  }

  /** Returns the integer that it is given. */
  @Exposed({ params: ['int'], returns: 'int' })
  echoInteger(int: number): number {
    return int;
  }

  /** Returns the double that it is given, as a double. */
  @Exposed({ params: ['double'], returns: 'double' })
  echoFloat(double: number): number {
    return double;
  }

  /** Returns the boolean that it is given. */
  @Exposed({ params: ['boolean'], returns: 'boolean' })
  echoBoolean(boolean: boolean): boolean {
    return boolean;
  }

  /** Returns the struct that it is given; its member varFloat, if it is a number, as a double. */
  @Exposed({ params: ['struct'], returns: 'struct' })
  echoStruct(struct: Dict): Sendable {
    return withDouble(struct);
  }

  /** Returns the date that it is given. */
  @Exposed({ params: ['dateTime.iso8601'], returns: 'dateTime.iso8601' })
  echoDate(date: Date): Date {
    return date;
  }

  /** Returns the bytes that it is given. */
  @Exposed({ params: ['base64'], returns: 'base64' })
  echoBase64(bytes: Buffer): Buffer {
    return bytes;
  }

  /** Returns the value that it is given. A whole double is returned as an int, because its original type is not known here. */
  @Exposed({ params: ['any'], returns: 'any' })
  echoValue(value: Value): Value {
    return value;
  }

  /** Returns the array of texts that it is given. */
  @Exposed({ schema: z.tuple([z.array(z.string())]), returns: 'array' })
  echoStringArray(texts: readonly string[]): Sendable {
    return texts;
  }

  /** Returns the array of integers that it is given. */
  @Exposed({ schema: z.tuple([z.array(z.int32())]), returns: 'array' })
  echoIntegerArray(ints: readonly number[]): Sendable {
    return ints;
  }

  /** Returns the array of doubles that it is given, as doubles. */
  @Exposed({ schema: z.tuple([z.array(z.number())]), returns: 'array' })
  echoFloatArray(doubles: readonly number[]): Sendable {
    return doubles.map((double) => new Double(double));
  }

  /** Returns the array of structs that it is given; their members varFloat as doubles. */
  @Exposed({ schema: z.tuple([z.array(z.custom<Dict>(isStruct, 'expected a struct'))]), returns: 'array' })
  echoStructArray(structs: readonly Dict[]): Sendable {
    return structs.map(withDouble);
  }

  /** Takes no parameters; returns an int. */
  @Exposed({ params: [], returns: 'int' })
  noInParams(): number {
    return 42;
  }

  /** Describes this implementation: toolkitDocsUrl, toolkitName, toolkitVersion, toolkitOperatingSystem. */
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

/** Marks the member that the suite sends as a double; as a plain number, a whole one would be written as an int. */
function withDouble(struct: Dict): Sendable {
  const { varFloat } = struct;
  if (typeof varFloat !== 'number') return struct;
  return new Map<string, Sendable>(Object.entries(struct)).set('varFloat', new Double(varFloat));
}

function isStruct(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return !(Array.isArray(value) || value instanceof Date || value instanceof Uint8Array);
}

/** The relay's plugin for the load: a method to call, and a satellite that receives every dict. */
import { Exposed, Plugin, Satellite } from 'co2-relay';

@Satellite()
export class Box extends Plugin {
  /** Adds two integers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number): number {
    return a + b;
  }

  /** Takes a large value; returns its number of elements or bytes. */
  @Exposed({ params: ['any'], returns: 'int' })
  count(value: { readonly length: number }): number {
    return value.length;
  }

  /** Ignores the dict. */
  override receive(): void {
    // Only the work of the relay is measured.
  }
}

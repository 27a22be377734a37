/** The relay's plugin for the load: a method to call, and a satellite that takes every dict. */
import { Exposed, Plugin, Satellite } from 'co2-relay';

@Satellite()
export class Box extends Plugin {
  /** Adds two integers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number): number {
    return a + b;
  }

  /** Takes anything large: how many elements or bytes it has. */
  @Exposed({ params: ['any'], returns: 'int' })
  count(value: { readonly length: number }): number {
    return value.length;
  }

  /** Takes a dict, and does nothing about it. */
  override receive(): void {
    // Only what the relay does is measured.
  }
}

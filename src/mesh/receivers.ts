/** Who takes the messages that arrive at this node, by their content type. */
import { clean, isPromise, reasonOf } from '../core/core.ts';
import type { MaybePromise } from '../core/core.ts';
import type { ProcessingOutcome } from '../mesh-core/mesh-core.ts';
import type { MeshArrival, MeshReceiver } from './port.ts';

/** See the head of this file. */
export class Receivers {
  readonly #byType = new Map<string, MeshReceiver>();

  set(contentType: string, receiver: MeshReceiver): void {
    this.#byType.set(contentType, receiver);
  }

  /** What becomes of a message. Never throws nor rejects: what a receiver throws rejects the message. */
  take(arrival: MeshArrival): MaybePromise<ProcessingOutcome> {
    const { contentType } = arrival.head;
    const receiver = this.#byType.get(contentType);
    if (!receiver) return rejected(`this relay does not know messages of the kind ${clean(contentType, 60)}`);
    try {
      const outcome = receiver(arrival);
      return isPromise(outcome) ? outcome.catch((error: unknown) => rejected(reasonOf(error))) : outcome;
    } catch (error) {
      return rejected(reasonOf(error));
    }
  }
}

function rejected(reason: string): ProcessingOutcome {
  return { type: 'rejected', reason };
}

/** What happens to units of work, which `work/` emits: declared here, since every subscriber of the relay's events gets them. */

export type WorkEvent =
  /** Emitted for each change of state, once it is on the disk. `reason` is `''` where the state says it all. */
  | {
      readonly type: 'work.state';
      readonly unit: string;
      /** Its type: `ham.spam:render`. */
      readonly work: string;
      readonly state: 'pending' | 'running' | 'succeeded' | 'failed' | 'canceled' | 'expired' | 'lost';
      readonly reason: string;
    }
  /** The unit and everything of it is gone. */
  | { readonly type: 'work.released'; readonly unit: string; readonly work: string };

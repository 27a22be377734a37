/** What the benchmark and a rival of its work units tell each other. */

/** How many units are to be done, and how many of them at a time. */
export interface RivalCommand {
  readonly units: number;
  readonly inFlight: number;
}

/** How long they took. */
export interface RivalReport {
  readonly seconds: number;
  /** ms from a submission to its result. */
  readonly medianMs: number;
}

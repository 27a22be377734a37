/** The results and how they are shown: one line per figure, with the ratios to the peers, the aims, and whether they are met. */

/** Our figure in relation to that of another. */
export interface Ratio {
  /** `x bare fastify` */
  readonly to: string;
  readonly ratio: number;
  readonly aim?: Aim | undefined;
}

/** The minimum or maximum for a figure or a ratio. */
export interface Aim {
  readonly least?: number;
  readonly most?: number;
}

/** One of our figures. */
export interface Figure {
  /** The heading that it is shown under. */
  readonly group: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly aim?: Aim | undefined;
  readonly ratios?: readonly Ratio[];
}

export interface Report {
  readonly figures: readonly Figure[];
  /** What was not measured, and why. */
  readonly skipped: readonly string[];
}

/** True if there is no aim, or if it is met. */
export function isMet(value: number, { least = -Infinity, most = Infinity }: Aim = {}): boolean {
  return value >= least && value <= most;
}

export function printTable({ figures, skipped }: Report): void {
  let group = '';
  for (const figure of figures) {
    if (figure.group !== group) console.log(`\n${figure.group}`);
    group = figure.group;
    console.log(`  ${figure.what.padEnd(34)}${short(figure.value).padStart(10)} ${figure.unit}${judged(figure.value, figure.aim)}`);
    for (const { to, ratio, aim } of figure.ratios ?? [])
      console.log(`${' '.repeat(36)}${short(ratio).padStart(10)} ${to}${judged(ratio, aim)}`);
  }
  for (const text of skipped) console.log(`\nskipped: ${text}`);
}

function judged(value: number, aim: Aim | undefined): string {
  if (!aim) return '';
  const wanted = aim.least === undefined ? `at most ${aim.most ?? ''}` : `at least ${aim.least}`;
  return `  (aim: ${wanted}; ${isMet(value, aim) ? 'met' : 'MISSED'})`;
}

/** Formats with three significant digits. */
function short(value: number): string {
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3));
}

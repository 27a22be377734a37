/** What was measured, and how it is shown: a line per figure, with the ratios to the peers, the aims and whether they are met. */

/** Ours in relation to another's. */
export interface Ratio {
  /** `x bare fastify` */
  readonly to: string;
  readonly ratio: number;
  readonly aim?: Aim | undefined;
}

/** What a figure or a ratio should be at least, or at most. */
export interface Aim {
  readonly least?: number;
  readonly most?: number;
}

/** One figure of ours. */
export interface Figure {
  /** Under which heading it stands. */
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

/** True if there is no aim, or it is met. */
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

/** Three digits that count. */
function short(value: number): string {
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3));
}

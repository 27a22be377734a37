/** Converts decimals with more digits than a double holds: rounded once, by arithmetic on pairs of doubles instead of on text. */

const HEAD_DIGITS = 15;
const MAX_TAIL_DIGITS = 7;
/** The digits of the longest decimal that can be converted, and its largest number of decimal places. */
export const MAX_DIGITS = HEAD_DIGITS + MAX_TAIL_DIGITS;
// All of these are exact.
const POWERS = Array.from({ length: MAX_DIGITS + 1 }, (_, exponent) => 10 ** exponent);
// Splits a double into two halves whose products are exact: Veltkamp's constant.
const SPLITTER = 2 ** 27 + 1;
// Exceeds the relative error of the correction below, which is rounded twice.
const DOUBT = 2 ** -50;

/** Collects digits and computes the double that is nearest to the decimal. */
export class LongDecimal {
  #head = 0;
  #tail = 0;
  #digits = 0;

  /** Starts a new decimal. */
  start(): void {
    this.#head = 0;
    this.#tail = 0;
    this.#digits = 0;
  }

  /** Adds a digit; at most MAX_DIGITS are allowed. */
  add(digit: number): void {
    if (this.#digits++ < HEAD_DIGITS) this.#head = this.#head * 10 + digit;
    else this.#tail = this.#tail * 10 + digit;
  }

  /** The value with `decimals` digits after the point; NaN if it is too close to the midpoint of two doubles for this arithmetic. */
  value(decimals: number): number {
    const power = POWERS[Math.max(0, this.#digits - HEAD_DIGITS)] ?? NaN;
    // All digits as the sum of two doubles, which is exact.
    const product = this.#head * power;
    const rest = productError(this.#head, power, product) + this.#tail;
    const high = product + rest;
    const low = rest - (high - product);
    const divisor = POWERS[decimals] ?? NaN;
    const near = high / divisor;
    const back = near * divisor;
    const correction = (high - back - productError(near, divisor, back) + low) / divisor;
    const value = near + correction * (1 + DOUBT);
    // Rounding is monotonic: if both bounds of the correction round to the same double, so does everything between them.
    return value === near + correction * (1 - DOUBT) ? value : NaN;
  }
}

/** The rounding error of `product`, which is `a * b` rounded: Dekker's exact product. */
function productError(a: number, b: number, product: number): number {
  const bigA = a * SPLITTER;
  const highA = bigA - (bigA - a);
  const lowA = a - highA;
  const bigB = b * SPLITTER;
  const highB = bigB - (bigB - b);
  const lowB = b - highB;
  return lowA * lowB - (product - highA * highB - lowA * highB - highA * lowB);
}

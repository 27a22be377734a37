/**
 * Decimals of more digits than a double holds, as doubles are written: rounded once, by arithmetic on pairs of doubles instead of a text.
 */

const HEAD_DIGITS = 15;
const MAX_TAIL_DIGITS = 7;
/** Digits of a decimal that can be read here, and places after its point. */
export const MAX_DIGITS = HEAD_DIGITS + MAX_TAIL_DIGITS;
// All of them are exact.
const POWERS = Array.from({ length: MAX_DIGITS + 1 }, (_, exponent) => 10 ** exponent);
// Splits a double into two halves whose products are exact: Veltkamp's constant.
const SPLITTER = 2 ** 27 + 1;
// More than the correction below can be wrong by, in relation to itself: it is rounded twice.
const DOUBT = 2 ** -50;

/** Collects digits, and gives the double that is nearest to the decimal. */
export class LongDecimal {
  #head = 0;
  #tail = 0;
  #digits = 0;

  /** A new decimal begins. */
  start(): void {
    this.#head = 0;
    this.#tail = 0;
    this.#digits = 0;
  }

  /** Adds a digit; there may be MAX_DIGITS of them. */
  add(digit: number): void {
    if (this.#digits++ < HEAD_DIGITS) this.#head = this.#head * 10 + digit;
    else this.#tail = this.#tail * 10 + digit;
  }

  /**
   * The value if the last `decimals` digits stand after the point; NaN where it is so close to the middle of two doubles that this
   * arithmetic cannot tell.
   */
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
    // Rounding is monotonic: if both ends of what the correction may be lead to one double, all between them do.
    return value === near + correction * (1 - DOUBT) ? value : NaN;
  }
}

/** What `a * b` has beyond `product`, to which it was rounded: Dekker's exact product. */
function productError(a: number, b: number, product: number): number {
  const bigA = a * SPLITTER;
  const highA = bigA - (bigA - a);
  const lowA = a - highA;
  const bigB = b * SPLITTER;
  const highB = bigB - (bigB - b);
  const lowB = b - highB;
  return lowA * lowB - (product - highA * highB - lowA * highB - highA * lowB);
}

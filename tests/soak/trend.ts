/** Whether a series of measurements grows. */

export interface Trend {
  /** By how much the straight line through the series rises from its first point to its last. */
  growth: number;
  /** Where that line begins. */
  start: number;
}

/**
 * The straight line of least squares through a series, its beginning left out.
 *
 * @param warmUp The part of the series that is left out: memory grows until everything has been used once.
 */
export function trendOf(values: readonly number[], warmUp = 1 / 3): Trend {
  const used = values.slice(Math.floor(values.length * warmUp));
  const n = used.length;
  const meanX = (n - 1) / 2;
  const meanY = used.reduce((sum, y) => sum + y, 0) / n;
  let covariance = 0, variance = 0;
  for (const [x, y] of used.entries()) {
    covariance += (x - meanX) * (y - meanY);
    variance += (x - meanX) ** 2;
  }
  const slope = variance === 0 ? 0 : covariance / variance;
  return { growth: slope * (n - 1), start: meanY - slope * meanX };
}

/** Whether a trend is more than chance: by a tenth of where it began, and by more than `tolerance`. */
export function grows(values: readonly number[], tolerance: number): boolean {
  const { growth, start } = trendOf(values);
  return growth > tolerance && growth > start / 10;
}

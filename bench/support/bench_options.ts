/** What the parts of a benchmark are told. */
export interface BenchOptions {
  /** How long each row is measured. */
  ms: number;
  /** Starts the server of another checkout; undefined where there is none to compare with. */
  against?: string[];
}

/** What a `RedisRegistry` tells of its work. */
export interface RegistryObserver {
  onTakeover?(where: "local" | "remote"): void;
  /** How long a claim that found an older session waited for its turn. */
  onTakeoverDone?(ms: number): void;
  onEvictionRepeated?(): void;
  onGhostsSwept?(count: number): void;
  onRenewal?(success: boolean): void;
  onRoundTrip?(ms: number): void;
}

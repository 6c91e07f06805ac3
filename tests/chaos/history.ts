/**
 * What a run leaves behind, for the checker to judge: everything that clients saw, everything that was done to the
 * cluster. Times (`at`, `until`) are Unix time in ms with fractions.
 */

/** How a client behaves once it is connected. */
export type Habit =
  /** Reads, answers, stays until it is replaced or bored. */
  | "good"
  /** Closes by the book after a while. */
  | "leaves"
  /** Ends its connection after a while without a close frame. */
  | "drops"
  /** Resets its connection after a while. */
  | "resets"
  /** Resets it between its request and the answer. */
  | "resets-early"
  /** Ends its half of the connection after a while and goes on reading. */
  | "half-closes"
  /** Reads, and never answers a close frame. */
  | "mute"
  /** Never reads: what it is sent is seen by no one. */
  | "frozen"
  /** Sends what is no WebSocket frame after a while. */
  | "babbles"
  /** Is not who it says it is: its token is another client's, out of date, forged, or not there. */
  | "impostor";

/** Told by the process that holds the connection; stamped when the bytes were read there. */
export type ClientEvent =
  | { kind: "connect"; at: number; conn: string; client: string; server: number; habit: Habit }
  /** The head of the answer to the upgrade. */
  | { kind: "answer"; at: number; conn: string; status: number }
  /** `text` of a text, `code` of a close. */
  | { kind: "frame"; at: number; conn: string; opcode: number; text?: string; code?: number }
  /** The server ended the connection, or never accepted it. */
  | { kind: "end"; at: number; conn: string; how: "eof" | "reset" }
  /** The client ended it; stamped before it did. */
  | { kind: "leave"; at: number; conn: string }
  /** A process of clients did not run from `at` until `until`: what it read just after may have arrived in between. */
  | { kind: "lag"; at: number; until: number; crowd: number };

/** What is done to the cluster. */
export type FaultKind =
  /** kill -9 of a server, which starts again at the end of the fault. */
  | "kill"
  /** SIGSTOP … SIGCONT of a server. */
  | "stop"
  /** The connection of a server to Redis is closed and no new one gets through. */
  | "cut"
  /** It stays open and nothing gets through; what was on its way arrives afterwards. */
  | "stall"
  /** It is slow. */
  | "delay"
  /** SIGSTOP … SIGCONT of Redis. */
  | "redis-stop"
  /** Redis ends and starts again with all its data, … */
  | "redis-restart"
  /** … with an old snapshot of it, … */
  | "redis-rollback"
  /** … or with none. */
  | "redis-loss"
  /** FLUSHALL. */
  | "redis-flush"
  /** SIGKILL of the primary, which comes back as a replica when it was replaced. */
  | "redis-failover-death"
  /** SIGSTOP of the primary, … SIGCONT when it was replaced. */
  | "redis-failover-stop"
  /** Its replicas and the Sentinels lose the primary, and the servers do not, until it was replaced. */
  | "redis-failover-cut"
  /** A replica takes over from a primary that is well (CLUSTER FAILOVER FORCE). */
  | "redis-failover-force"
  /** The slot of the service moves to another shard: its keys in steps, while clients come and go. */
  | "redis-migrate"
  /** SIGKILL of the primary when some of the keys have moved; what its replica has is moved when that has taken its place. */
  | "redis-migrate-death"
  /** SIGSTOP … SIGCONT of a process of clients. */
  | "clients-stop";

export interface FaultEvent {
  kind: "fault";
  fault: FaultKind;
  at: number;
  /** When it was over: the process runs, Redis answers, another is the primary. */
  until: number;
  /** When Redis answered none of the servers, where that was not all of the time. */
  silent?: { at: number; until: number };
  /** The server, or the process of clients; undefined where Redis is meant. */
  target?: number;
}

export interface ListedSession {
  client: string;
  session: string;
}

export type WatchEvent =
  /** `/sessions` of a server, asked at `at` and answered at `until`; undefined sessions: it answered with an error. */
  | { kind: "list"; at: number; until: number; server: number; sessions?: ListedSession[] }
  /** From `at` nothing was done to the cluster, and from a moment later to clients; at `until` all should be settled. */
  | { kind: "quiet"; at: number; until: number }
  /** A server that was not ready again in time after a fault. */
  | { kind: "unready"; at: number; server: number; status: number | undefined }
  /** A server that ended without being killed. */
  | { kind: "crash"; at: number; server: number; code: number; lastWords: string }
  /** Open descriptors when every client had left. `expected` is what it had before the first came. */
  | { kind: "descriptors"; at: number; server: number; open: number; expected: number; lost: number };

export type Event = ClientEvent | FaultEvent | WatchEvent;

/** The limits and times of the mesh, each with its reason. */

/** Relays that a message may cross: twice the widest mesh we know, and the end of any loop. Also the longest path that is carried. */
export const MAX_HOPS = 16;
/** Answers that are sent while a message is received, in a row. Ends two plugins that answer each other. */
export const MAX_GENERATION = 16;
/** Nodes whose link state is kept. Protects memory and the time of a path computation. */
export const MAX_NODES = 1024;
/** Neighbours with a link. Protects memory: each may have a window in flight. */
export const MAX_LINKS = 256;
/** The longest life of a message: a week. */
export const MAX_TTL_MS = 7 * 86_400_000;
/** The default life of a durable message: a day. */
export const DURABLE_TTL_MS = 86_400_000;
/** The default life of a message that is in memory only. */
export const VOLATILE_TTL_MS = 30_000;
/** Bytes of one payload. A message must fit into a window and into a request of the relay. */
export const MAX_PAYLOAD_BYTES = 4 * 2 ** 20;

/** Messages of a batch, and of a group that is signed once. */
export const BATCH_MESSAGES = 64;
/** Bytes of a batch, unless its first message alone is larger. */
export const BATCH_BYTES = 64 * 1024;
/** Messages that may be in flight to a neighbour: what it must be able to store before it acknowledges. */
export const WINDOW_MESSAGES = 256;
/** So many more for each ms of the round trip, in which a fast neighbour handles as many and the link would stand still. */
export const WINDOW_PER_MS = 24;
/** The largest window: that of a round trip of 75 ms. */
export const MAX_WINDOW_MESSAGES = 2048;
/** Bytes that may be in flight to a neighbour. */
export const WINDOW_BYTES = 4 * 2 ** 20;

/** A neighbour hears from us this often, within 10 %. */
export const HEARTBEAT_MS = 1000;
/** A neighbour that is silent for this long is dead: three heartbeats and some delay. */
export const SILENCE_MS = 3500;
/** A node that ran this late was suspended, or its event loop was blocked: the silence is its own fault. */
export const LAG_MS = 1000;
/** Time limit for connecting. */
export const DIAL_MS = 3000;
/** Time limit for the proof of identity. */
export const HELLO_MS = 5000;
/** Time limit for the exchange of link states before the link is used. */
export const SYNC_MS = 10_000;
/** Time limit for what is in flight when a link is closed in an orderly way. */
export const DRAIN_MS = 10_000;
/** Messages that are not acknowledged for this long are sent again. */
export const RESEND_MS = 5000;
/** Delays between attempts to connect, and between attempts to send what was returned. */
export const RETRY = { firstMs: 250, factor: 2, maxMs: 60_000, jitter: 1 } as const;
/** A link that was up for this long counts as stable: the next attempt to connect starts with the first delay. */
export const STABLE_MS = 60_000;
/** A waiting receipt is given three round trips and this. */
export const RECEIPT_MS = 10_000;
/** Receipts follow one another no sooner than this: each is a message that is signed. */
export const RECEIPT_PAUSE_MS = 20;
/** Of four messages in flight at most three are of a backlog, so that fresh ones need not wait for a whole window. */
export const BACKLOG_SHARE = 0.75;
/** A message that is younger than this when it arrives is sent before a backlog. */
export const FRESH_MS = 2000;
/** An ordered message that overtook earlier ones waits this long for them: a link that falls silent takes 3.5 s to be noticed. */
export const ORDER_WAIT_MS = 5000;
/** Of five messages that are sent one may be sent again, so that what fails does not crowd out what may succeed. */
export const RETRY_SHARE = 0.2;
/** Messages that are sent again per second if nothing else is sent. What the neighbour then takes does not count. */
export const RETRIES_PER_SECOND = 100;
/** Messages of a backlog that are sent to a neighbour per second. Protects it when everybody's backlog comes at once. */
export const BACKLOG_PER_SECOND = 20_000;
/** Messages of a backlog that may be sent at once. */
export const BACKLOG_BURST = 1024;

/** Messages that wait for one neighbour or node. */
export const QUOTA_MESSAGES = 1_000_000;
/** Bytes that wait for one neighbour or node. */
export const QUOTA_BYTES = 2 ** 30;
/** Bytes of messages that are kept in memory besides on the disk, so that a fresh one is sent without reading it back. */
export const CACHE_BYTES = 16 * 2 ** 20;
/** The part of that for messages that cannot be sent now: as many as come while a link is down for a moment. */
export const BACKLOG_CACHE_SHARE = 1 / 16;
/** Bytes in memory for receipts alone: without them, what has arrived would be sent again while other messages fill the memory. */
export const SYSTEM_BYTES = 2 ** 20;
/** Records of the log that are not tidied up: some hundred KiB. */
export const SHORT_LOG = 4096;
/** Neighbours that are remembered: each costs a queue, and every broadcast waits for each. */
export const MAX_PEERS = 1024;
/** Streams whose numbers are remembered: a few per node and start of it. */
export const MAX_STREAMS = 32_768;
/** The numbers of a stream are forgotten this long after its last message: longer than any message lives. */
export const FORGET_MS = 8 * 86_400_000;
/** Runs of numbers kept for a stream. A message that would need another one has to come later. */
export const MAX_RUNS = 512;

/** Bytes of the link state of one node. */
export const MAX_STATE_BYTES = 64 * 1024;
/** Link states of one node that are accepted per second. */
export const STATES_PER_SECOND = 10;
/** A node sends its link state again after this time, also if nothing changed. */
export const REFRESH_MS = 60_000;
/** A link state that was not refreshed for this long is forgotten. */
export const AGE_OUT_MS = 200_000;
/** One random neighbour is asked this often for link states that differ. */
export const COMPARE_MS = 10_000;
/** New link states are passed on together if others were passed on less than this before: a thousand nodes may start at once. */
export const SPREAD_MS = 20;
/** Least and greatest delay of sending an own link state that changed. */
export const ORIGINATE = { minMs: 100, maxMs: 5000 } as const;
/** Least and greatest delay of a path computation. */
export const COMPUTE = { minMs: 50, maxMs: 1000 } as const;

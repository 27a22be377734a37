// @ts-check
/** Connects the module graph to hooks in a thread of their own: versions, and notes of what was read, are sent over a port. */
import { receiveMessageOnPort } from 'node:worker_threads';
import { fingerprintSync } from './fingerprint.mjs';
import { ownerAmong } from './module-graph.mjs';

/** @typedef {import('./module-graph.mjs').Ledger} Ledger */
/** @typedef {import('./module-graph.mjs').HooksChannel} HooksChannel */

/**
 * The ledger in the hooks thread. Messages are read on each query, so that everything that was sent before an import began is known when it
 * is resolved.
 * @param {import('node:worker_threads').MessagePort} port
 * @returns {Ledger}
 */
export function ledgerOver(port) {
  /** @type {Map<string, number>} */
  const roots = new Map();
  /** @type {Map<string, number>} */
  const known = new Map();
  /** @type {Map<string, number>} */
  const helpers = new Map();
  const pull = () => {
    for (let update = next(port); update; update = next(port)) {
      for (const [root, owner] of update.roots ?? []) roots.set(root, owner);
      for (const [file, version] of update.versions ?? []) known.set(file, version);
    }
  };
  return {
    ownerOf(file) {
      pull();
      return ownerAmong(roots, file);
    },
    ownerOfHelper: (file) => helpers.get(file),
    adopt(file, owner) {
      if (helpers.has(file)) return;
      helpers.set(file, owner);
      port.postMessage({ type: 'adopt', file, owner, print: fingerprintSync(file) });
    },
    versionOf: (file) => known.get(file) ?? 0,
    note(note) {
      port.postMessage(note);
    },
  };
}

/** @param {import('node:worker_threads').MessagePort} port */
function next(port) {
  return /** @type {{ message: import('./module-graph.mjs').Update } | undefined} */ (receiveMessageOnPort(port))?.message;
}

/**
 * The other end, in the main thread. When an import has ended, the notes of the hooks about it have arrived.
 * @param {import('node:worker_threads').MessagePort} port
 * @returns {HooksChannel}
 */
export function hooksChannelOver(port) {
  return {
    send(update) {
      port.postMessage(update);
    },
    receive: () => /** @type {{ message: import('./module-graph.mjs').Note } | undefined} */ (receiveMessageOnPort(port))?.message,
  };
}

/** Names under which Nest hands out what has no class of its own to ask for. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
export const BLOBS = Symbol('blobs');
export const INDEX = Symbol('index');
/** An AbortSignal that fires when the api begins to shut down: ends event streams. */
export const SHUTDOWN = Symbol('shutdown');

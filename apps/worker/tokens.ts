/** Names under which Nest hands out what has no class of its own to ask for. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
/** All handlers, one a queue. */
export const HANDLERS = Symbol('handlers');

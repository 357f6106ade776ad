/** Imported before LanceDB, which reads this when it is loaded: its warnings (of upkeep that lost a race and is repeated) are lines among ours that are no JSON. */
// biome-ignore lint/style/noProcessEnv: it is the only way to tell LanceDB.
process.env.LANCEDB_LOG ??= 'error';

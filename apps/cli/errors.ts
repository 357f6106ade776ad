/** What the command line knows to be wrong, in words for the person at it. `code` is stable: scripts match on it. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    readonly code: string,
    message: string,
    readonly exitStatus = 1,
  ) {
    super(message);
  }
}

/** Code and message of anything that was thrown: our own errors carry a code, the system's do too. */
export function problemOf(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: 'internal', message: String(error) };
  const code = (error as { code?: unknown }).code;
  return { code: typeof code === 'string' ? code : 'internal', message: error.message };
}

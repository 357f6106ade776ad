/** Who may ask: API keys, signed links, and the loopback rule where there are no keys. */
export { CurrentTenant, createGate, Probe, Public, Signed } from './gate.ts';
export { Signer, signingSecret } from './signing.ts';

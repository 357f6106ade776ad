import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { NetError } from './errors.ts';

/** Private addresses a request may reach: none, this machine only, or all. */
export type Reach = 'none' | 'loopback' | 'all';

/** Never a peer, whoever asks: no host answers there, or everyone does. */
const NO_PEER = new Set(['unspecified', 'multicast', 'broadcast', 'reserved']);

/** Ports of other protocols, to which fetch sends nothing (fetch standard, 2.9). */
export const BAD_PORTS: ReadonlySet<string> = new Set(
  '0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080'.split(
    ' ',
  ),
);

/** The address that a packet to `address` ends at: IPv4 inside IPv4-mapped (RFC 4291) and NAT64 (RFC 6052) spellings is what counts. */
function destination(address: string): ipaddr.IPv4 | ipaddr.IPv6 {
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv6' && parsed.range() === 'rfc6052') return new ipaddr.IPv4(parsed.toByteArray().slice(12));
  return parsed;
}

/** Whether a request may connect to this IP address. Anything that is not plainly public counts as private. */
export function addressAllowed(address: string, reach: Reach): boolean {
  const to = destination(address.replace(/%.*$/, ''));
  const range = to.range();
  if (NO_PEER.has(range)) return false;
  if (range === 'loopback') return reach !== 'none';
  // Only 2000::/3 is given out as global unicast (RFC 4291, 2.4); the rest of "unicast" is nobody's yet.
  const global = range === 'unicast' && (to.kind() === 'ipv4' || ((to as ipaddr.IPv6).parts[0] ?? 0) >> 13 === 1);
  return global || reach === 'all';
}

/** Says nothing of what a name resolved to: that would tell strangers about the network inside. */
export function refuse(host: string): NetError {
  return new NetError('address_refused', `${host} is a private address; requests to it are not allowed here`);
}

/**
 * Parses an address that a user gave: http or https, no name and password, IP addresses in their plain spelling.
 * (The URL parser turns `http://2130706433` and `http://0177.1` into 127.0.0.1: nobody honest writes these.)
 */
export function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url) throw new NetError('url_invalid', 'That is not a complete URL');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new NetError('url_invalid', `Only http and https addresses are taken, not ${url.protocol.slice(0, -1)}`);
  }
  if (url.username || url.password) throw new NetError('url_invalid', 'Addresses must not carry a name or password');
  if (isIP(url.hostname) === 4 && !text.includes(url.hostname)) {
    throw new NetError('url_invalid', 'IP addresses must be written as four decimal numbers');
  }
  return url;
}

/** The IP address in a URL's host, if it is one and not a name. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) ? bare : undefined;
}

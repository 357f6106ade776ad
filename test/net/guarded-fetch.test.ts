import dns from 'node:dns';
import { createServer, type RequestListener, type Server } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { checkUrl, guardedFetch } from '#net';

const servers: Server[] = [];
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

describe('an address a user aims at', () => {
  it.each([
    ['127.0.0.1', 'this machine'],
    ['10.1.2.3', 'private'],
    ['172.16.0.1', 'private'],
    ['192.168.1.1', 'private'],
    ['169.254.169.254', 'link-local: cloud metadata'],
    ['100.64.0.1', 'carrier-grade NAT'],
    ['0.0.0.0', 'unspecified'],
    ['224.0.0.1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['198.18.0.1', 'benchmarking'],
    ['[::1]', 'this machine'],
    ['[::]', 'unspecified'],
    ['[fe80::1]', 'link-local'],
    ['[fd00::1]', 'unique local'],
    ['[ff02::1]', 'multicast'],
    ['[::ffff:127.0.0.1]', 'IPv4-mapped'],
    ['[::ffff:a9fe:a9fe]', 'IPv4-mapped metadata'],
    ['[64:ff9b::7f00:1]', 'NAT64 of this machine'],
    ['[2002:7f00:1::]', '6to4 of this machine'],
    ['[4000::1]', 'not given out'],
    ['localhost', 'a name of this machine'],
  ])('is refused when it is %s (%s)', async (host) => {
    const url = `http://${host}:8099/`;
    await expect(checkUrl(url, 'none')).rejects.toMatchObject({ code: 'address_refused', retryable: false });
    await expect(guardedFetch(url, { reach: 'none' })).rejects.toMatchObject({ code: 'address_refused' });
  });

  it.each([
    ['2130706433', 'decimal'],
    ['0x7f000001', 'hexadecimal'],
    ['0177.0.0.1', 'octal'],
    ['127.1', 'short'],
  ])('is refused as http://%s (%s spelling) whatever may be reached', async (host) => {
    await expect(checkUrl(`http://${host}/`, 'all')).rejects.toMatchObject({ code: 'url_invalid' });
  });

  it.each(['ftp://example.com/a', 'file:///etc/passwd', 'data:text/plain,a', 'nonsense', 'http://u:p@example.com/'])(
    'is refused as %s',
    async (url) => {
      await expect(checkUrl(url, 'all')).rejects.toMatchObject({ code: 'url_invalid' });
    },
  );

  it('is refused without a word of what its name resolves to', async () => {
    await expect(checkUrl('http://localhost/', 'none')).rejects.toThrow(/^localhost is a private address; [^\d]+$/);
  });
  it('is told to be of no host in plain words', async () => {
    const { message } = (await checkUrl('http://nowhere.invalid:1234/', 'all').catch(
      (error: Error) => error as Error,
    )) as Error;
    // Where no name server is reached, that is said.
    expect(message).toMatch(/^There is no host nowhere\.invalid$|EAI_AGAIN/);
  });
  it('is looked up with one other at most, however many ask: files need the same threads', async () => {
    const { lookup } = dns;
    let now = 0;
    let most = 0;
    const slow = (_: string, __: object, done: (error: null, found: dns.LookupAddress[]) => void) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        done(null, [{ address: '1.1.1.1', family: 4 }]);
      }, 5);
    };
    dns.lookup = slow as unknown as typeof lookup;
    syncBuiltinESMExports();
    try {
      await Promise.all(Array.from({ length: 10 }, (_, n) => checkUrl(`http://slow${n}.example/`, 'none')));
    } finally {
      dns.lookup = lookup;
      syncBuiltinESMExports();
    }
    expect(most).toBe(2);
  });
  it('may be public, and this machine or a private one where that is allowed', async () => {
    await checkUrl('https://93.184.215.14/video.mp4', 'none');
    await checkUrl('https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/', 'none');
    await checkUrl('http://127.0.0.1:9000/', 'loopback');
    await checkUrl('http://[::1]:9000/', 'loopback');
    await checkUrl('http://10.0.0.1/', 'all');
    await expect(checkUrl('http://10.0.0.1/', 'loopback')).rejects.toMatchObject({ code: 'address_refused' });
    await expect(checkUrl('http://224.0.0.1/', 'all')).rejects.toMatchObject({ code: 'address_refused' });
  });

  it.each([0, 9, 25, 6667, 10080])(
    'is refused with the port %i of another protocol, before a request',
    async (port) => {
      const url = `http://127.0.0.1:${port}/`;
      await expect(checkUrl(url, 'loopback')).rejects.toMatchObject({ code: 'url_invalid', retryable: false });
    },
  );
});

describe('a guarded request', () => {
  it('streams the body of an answer', async () => {
    const url = await serve((_request, response) => {
      response.write('first ');
      setTimeout(() => response.end('second'), 20);
    });
    const response = await guardedFetch(url, { reach: 'loopback' });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('first second');
  });

  it('sends method, headers and body', async () => {
    const seen: unknown[] = [];
    const url = await serve(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      seen.push([request.method, request.headers['webhook-id'], body]);
      response.end();
    });
    await guardedFetch(url, { reach: 'loopback', method: 'POST', headers: { 'webhook-id': 'msg_1' }, body: '{}' });
    expect(seen).toEqual([['POST', 'msg_1', '{}']]);
  });

  it('gives a redirect back unless it is asked to follow, and checks where it leads', async () => {
    const inner = await serve((_request, response) => response.end('inner'));
    const hop = await serve((request, response) => {
      const to = request.url === '/private' ? 'http://169.254.169.254/' : request.url === '/loop' ? '/loop' : inner;
      response.writeHead(302, { location: to }).end();
    });
    expect((await guardedFetch(hop, { reach: 'loopback' })).status).toBe(302);
    expect(await (await guardedFetch(hop, { reach: 'loopback', maxRedirects: 3 })).text()).toBe('inner');
    await expect(guardedFetch(`${hop}/private`, { reach: 'loopback', maxRedirects: 3 })).rejects.toMatchObject({
      code: 'address_refused',
    });
    await expect(guardedFetch(`${hop}/loop`, { reach: 'loopback', maxRedirects: 3 })).rejects.toMatchObject({
      code: 'request_failed',
    });
  });

  it('ends when the answer takes too long, when nobody listens, and when it is aborted', async () => {
    const silent = await serve(() => {});
    await expect(guardedFetch(silent, { reach: 'loopback', timeoutMs: 100 })).rejects.toMatchObject({
      code: 'request_timeout',
      retryable: true,
    });
    await expect(guardedFetch('http://127.0.0.1:8099/', { reach: 'loopback' })).rejects.toMatchObject({
      code: 'request_failed',
      retryable: true,
    });
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('stop')), 50);
    await expect(guardedFetch(silent, { reach: 'loopback', signal: abort.signal })).rejects.toThrow('stop');
  });
});

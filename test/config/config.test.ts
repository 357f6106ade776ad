import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConfigError, describeSettings, loadConfig } from '#config';

describe('configuration', () => {
  it('needs no settings: the embedded shape on loopback', () => {
    const config = loadConfig({});
    expect(config.http).toMatchObject({ host: '127.0.0.1', port: 8080, loopback: true, apiKeys: [] });
    expect(config.http.maxUploadBytes).toBe(20 * 1024 ** 3);
    expect(config.redisUrl).toBeUndefined();
    expect(config.qdrant).toBeUndefined();
    expect(config.s3).toBeUndefined();
    expect(config.outgoing).toEqual({ webhooks: 'loopback', ingest: 'none' });
  });

  it('counts an empty variable as not set', () => {
    expect(loadConfig({ QDRANT_URL: '', PORT: '' }).http.port).toBe(8080);
  });

  it('names every setting that is wrong, and what it takes', () => {
    const load = () => loadConfig({ PORT: 'eighty', DEVICE: 'gpu', API_KEYS: 'short' });
    expect(load).toThrow(ConfigError);
    for (const name of ['PORT', 'DEVICE', 'API_KEYS']) expect(load).toThrow(new RegExp(name));
  });

  it('reads sizes the way people write them', () => {
    expect(loadConfig({ MAX_UPLOAD: '500MB' }).http.maxUploadBytes).toBe(500 * 1024 ** 2);
    expect(loadConfig({ MAX_UPLOAD: '1.5GiB' }).http.maxUploadBytes).toBe(1.5 * 1024 ** 3);
    expect(loadConfig({ MAX_UPLOAD: '1024' }).http.maxUploadBytes).toBe(1024);
    expect(() => loadConfig({ MAX_UPLOAD: 'lots' })).toThrow(ConfigError);
  });

  it('takes keys as tenant=key, keys may hold an equals sign', () => {
    const { apiKeys } = loadConfig({ API_KEYS: 'acme=0123456789abcdef==, globex=fedcba9876543210' }).http;
    expect(apiKeys).toEqual([
      { tenant: 'acme', key: '0123456789abcdef==' },
      { tenant: 'globex', key: 'fedcba9876543210' },
    ]);
  });

  it('lets webhooks reach no private address once keys are in use', () => {
    expect(loadConfig({ API_KEYS: 'acme=0123456789abcdef' }).outgoing.webhooks).toBe('none');
    expect(loadConfig({ HOST: '0.0.0.0', API_KEYS: 'acme=0123456789abcdef' }).http.loopback).toBe(false);
  });

  it('describes every setting', () => {
    for (const { name, description } of describeSettings()) expect(description, name).not.toBe('');
  });
});

describe('the list of settings', () => {
  it.each(['README.md', '.env.example'])('is complete in %s', (file) => {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    for (const { name } of describeSettings()) expect(text, name).toContain(name);
  });
});

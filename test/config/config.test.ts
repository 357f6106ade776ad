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

  it('knows no chat model until one is named, and takes no key that could not be sent', () => {
    expect(loadConfig({ LLM_BASE_URL: 'http://localhost:11434/v1' }).llm).toBeUndefined();
    const { llm } = loadConfig({ LLM_MODEL: 'm', LLM_API_KEY: 'sk-1', LLM_TIMEOUT_SECONDS: '1.5' });
    expect(llm).toMatchObject({ baseUrl: 'https://api.openai.com/v1', model: 'm', apiKey: 'sk-1', timeoutMs: 1500 });
    expect(llm).toMatchObject({ maxTokens: 800, contextTokens: 8192, images: 0, imageSize: 480 });
    for (const wrong of [
      { LLM_API_KEY: 'sk\n1' },
      { LLM_BASE_URL: 'file:///etc' },
      { LLM_IMAGES: '-1' },
      { LLM_IMAGE_SIZE: '481' },
      { LLM_MAX_TOKENS: '8000' },
    ]) {
      expect(() => loadConfig({ LLM_MODEL: 'm', ...wrong })).toThrow(ConfigError);
    }
    expect(() => loadConfig({ LLM_MODEL: 'm', LLM_API_KEY: 'se cret' })).not.toThrow(/se cret/);
  });

  it('takes scale and bias of a SigLIP’s logits with CLIP_MODEL, and none that it cannot have', () => {
    const logits = { CLIP_LOGIT_SCALE: '117.33', CLIP_LOGIT_BIAS: '-12.93' };
    expect(loadConfig({ CLIP_MODEL: 'a/b', ...logits }).models.clipLogits).toEqual({ scale: 117.33, bias: -12.93 });
    expect(loadConfig(logits).models.clipLogits).toBeUndefined();
    for (const [name, value] of [
      ['CLIP_LOGIT_SCALE', 'NaN'],
      ['CLIP_LOGIT_SCALE', '4.77'],
      ['CLIP_LOGIT_SCALE', ''],
      ['CLIP_LOGIT_BIAS', 'twelve'],
      ['CLIP_LOGIT_BIAS', '12.93'],
    ] as const) {
      expect(() => loadConfig({ ...logits, [name]: value }), value).toThrow(/CLIP_LOGIT_/);
    }
  });

  it('describes every setting', () => {
    for (const { name, description } of describeSettings()) expect(description, name).not.toBe('');
  });
});

describe('the list of settings', () => {
  it.each(['README.md', '.env.example'])('is complete in %s', (file) => {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    for (const { name, description } of describeSettings()) {
      expect(text, name).toContain(name);
      expect(text, name).toContain(description);
    }
  });
});

# The worker for NVIDIA GPUs: onnxruntime's CUDA 12 build on NVIDIA's runtime image. Build from the repository's root:
#   docker build -f docker/gpu.Dockerfile -t cuepoint-gpu .
# Run with `--gpus all` and the NVIDIA container toolkit. Not yet run by us on a GPU machine (README.md, limits).
FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04
COPY --from=node:24-bookworm-slim /usr/local /usr/local
RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg tini ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# Replaces the .npmrc key: fetches onnxruntime's CUDA 12 provider while installing.
ENV ONNXRUNTIME_NODE_INSTALL=cuda12
COPY package.json package-lock.json ./
RUN npm ci --loglevel=notice \
  && test -f node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so
COPY tsconfig.json LICENSE ./
COPY apps apps
COPY libs libs
COPY models models
# What `cuepoint models bench` transcribes.
COPY test/fixtures/sample test/fixtures/sample
RUN npx tsc -p tsconfig.json && npm prune --omit=dev --loglevel=notice
ENV NODE_ENV=production DATA_DIR=/data HF_HOME=/models DEVICE=cuda MODEL_PROFILE=large
RUN useradd --create-home cuepoint && mkdir -p /data /models && chown cuepoint /data /models
VOLUME ["/data", "/models"]
USER cuepoint
ENTRYPOINT ["tini", "--"]
CMD ["node", "dist/apps/worker/main.js"]

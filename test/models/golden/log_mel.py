"""Writes log-mel.json: what transformers' WhisperFeatureExtractor makes of a signal that the test makes too.

    pip install transformers numpy && python test/models/golden/log_mel.py
"""
import json
import pathlib

import numpy as np
import transformers

here = pathlib.Path(__file__).parent
model = here.parents[2] / "models/tiny/whisper"
seconds = 3.17
rate = 16000
t = np.arange(int(seconds * rate))
# Two gliding tones and the noise of a linear congruential generator: whole numbers and sines, the same in every language.
state = 1
noise = np.empty(len(t))
for i in range(len(t)):
    state = (state * 1103515245 + 12345) % 2147483648
    noise[i] = state / 1073741824 - 1
pcm = 0.4 * np.sin(2e-6 * t * t) + 0.2 * np.sin(0.05 * t) + 0.01 * noise

extractor = transformers.WhisperFeatureExtractor.from_pretrained(model)
features = extractor._np_extract_fbank_features(
    np.pad(pcm.astype(np.float32), (0, extractor.n_samples - len(t)))[None], "cpu"
)[0]
frames = [0, 1, 2, 57, 100, 199, 200, 314, 315, 316, 317, 318, 1500, 2998, 2999]
out = {
    "transformers": transformers.__version__,
    "samples": len(t),
    "frames": {str(f): [round(float(x), 6) for x in features[:, f]] for f in frames},
}
(here / "log-mel.json").write_text(json.dumps(out) + "\n")
print(features.shape, features.max())

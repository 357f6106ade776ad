"""Whisper's audio front end in numpy: waveform to log-mel frames (Radford et al. 2022, section 2.2).

16 kHz mono, 25 ms Hann windows every 10 ms, 80 mel bins on the Slaney scale; log10, floored 8 below
the loudest, (x + 4) / 4.
"""

from __future__ import annotations

import numpy as np

SAMPLE_RATE = 16_000
HOP = 160
WINDOW = 400
MELS = 80
FRAMES_PER_SECOND = SAMPLE_RATE // HOP
POWER_FLOOR = 1e-10


def _mel_filters() -> np.ndarray:
    """[MELS, WINDOW/2+1]: triangles on the Slaney mel scale, each of unit area, as librosa makes them."""
    linear_step, log_from_hz, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    log_from_mel = log_from_hz / linear_step

    def to_mel(hz: float) -> float:
        return hz / linear_step if hz < log_from_hz else log_from_mel + np.log(hz / log_from_hz) / log_step

    def to_hz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < log_from_mel, linear_step * mel, log_from_hz * np.exp(log_step * (mel - log_from_mel)))

    bins = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    corners = to_hz(np.linspace(0.0, to_mel(SAMPLE_RATE / 2), MELS + 2))
    widths, distances = np.diff(corners), corners[:, None] - bins[None]
    rising, falling = -distances[:-2] / widths[:-1, None], distances[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (corners[2:] - corners[:-2]))[:, None]).astype(np.float32)


MEL_FILTERS = _mel_filters()
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def mel_power(padded: np.ndarray, frames: int) -> np.ndarray:
    """[frames, MELS] of a waveform with WINDOW/2 samples of padding at each end; frame i is centred at i * HOP."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:frames] * _HANN
    power = (np.abs(np.fft.rfft(windows, axis=1)) ** 2).astype(np.float32)
    return power @ MEL_FILTERS.T


def compress(power: np.ndarray) -> np.ndarray:
    """Mel power [frames, MELS] to what the encoder takes, [MELS, frames]."""
    logs = np.log10(np.maximum(power, POWER_FLOOR))
    logs = np.maximum(logs, logs.max() - 8)
    return np.ascontiguousarray(((logs + 4) / 4).T.astype(np.float32))


def log_mel(waveform: np.ndarray, frames: int) -> np.ndarray:
    """[MELS, frames] of a waveform, cut or zero-padded to that length."""
    samples = frames * HOP
    fitted = np.pad(waveform, (0, max(0, samples - len(waveform))))[:samples].astype(np.float32)
    return compress(mel_power(np.pad(fitted, WINDOW // 2, mode="reflect"), frames))

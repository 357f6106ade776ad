"""Speaks with libespeak-ng in this process, which tells when each word and phoneme sounds (its command line does not).

The interface is espeak-ng's speak_lib.h, version 1.50 and later.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

_SYNCHRONOUS, _PHONEME_EVENTS = 2, 1  # espeak_AUDIO_OUTPUT, espeakINITIALIZE_PHONEME_EVENTS
_RATE, _PITCH, _PITCH_RANGE = 1, 3, 4  # espeak_PARAMETER
_END_OF_LIST, _WORD, _PHONEME = 0, 1, 7  # espeak_EVENT_TYPE
_BY_CHARACTER, _UTF8 = 1, 1


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("phoneme", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass
class Speech:
    """What was spoken: samples from -1 to 1, and the sample at which each thing begins."""

    samples: np.ndarray
    words: list[tuple[int, int]]  # (position in the text, counted from 1; sample)
    phonemes: list[tuple[str, int]]  # (espeak's name; sample); names that begin with '_' are pauses


class Espeak:
    """One synthesiser; the library allows one a process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self.sample_rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 500, None, _PHONEME_EVENTS)
        if self.sample_rate <= 0:
            raise RuntimeError("espeak-ng did not start")
        self._speech = Speech(np.zeros(0, np.float32), [], [])
        self._chunks: list[np.ndarray] = []
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: str, words_per_minute: int, pitch: int, pitch_range: int) -> Speech:
        """Speaks `text`; pitch and its range run from 0 to 100."""
        self._speech, self._chunks = Speech(np.zeros(0, np.float32), [], []), []
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_PITCH_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        self._speech.samples = np.concatenate(self._chunks).astype(np.float32) / 32768
        return self._speech

    def _receive(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for event in events:
            if event.type == _END_OF_LIST:
                break
            if event.type == _WORD:
                self._speech.words.append((event.text_position, event.sample))
            elif event.type == _PHONEME:
                name = bytes(event.phoneme).split(b"\0")[0].decode("latin1")
                self._speech.phonemes.append((name, event.sample))
        return 0

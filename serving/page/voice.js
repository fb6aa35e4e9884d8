// Voice, or hum, tone, noise and silence? Told as `s2f_tf/data/voice.py` tells it, which says why it is told so.

export const RATE = 16000; // Hz, of the sound that is looked at

const HOP = RATE / 100; // samples from one moment to the next
const WINDOW = 4 * HOP;
const PAUSE = 80; // moments: a longer pause ends a stretch
const MARGIN = 20; // moments
const [FIRST_LAG, LAST_LAG] = [Math.floor(RATE / 400), Math.floor(RATE / 70) - 1];
const FFT = 1024;
const [LOWEST, HIGHEST] = [80, 2000]; // Hz, of the band
const CORRELATION = 0.45;
const IN_BAND = 10 ** (-45 / 20); // the least level in the band, relative to that of all
const DEPTH = 10 ** (-30 / 20); // the least level of a moment, relative to the loudest
const SHARE = 1 / 6;
const LEAST = 10; // voiced moments
const SPREAD = 10 ** (3 / 20); // the least ratio of levels, of the loudest tenth of a stretch to the quietest tenth

const turn = (i, count) => (2 * Math.PI * i) / count;
const COSINES = Float64Array.from({ length: FFT / 2 }, (_, i) => Math.cos(turn(i, FFT)));
const SINES = Float64Array.from({ length: FFT / 2 }, (_, i) => Math.sin(turn(i, FFT)));
const HANN = Float64Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos(turn(i, WINDOW - 1)));
const WEIGHTS = Float64Array.from({ length: FFT / 2 }, (_, bin) => {
  const hertz = (bin * RATE) / FFT;
  return hertz >= LOWEST && hertz < HIGHEST ? Math.min(hertz / 500, 1) ** 2 : 0;
});
const OF_WINDOW = correlation(HANN, new Float64Array(FFT / 2).fill(1));

/** Seconds of voice in samples at 16 kHz, of any level: 0 where nobody speaks. */
export function voicedSeconds(samples) {
  const moments = Array.from({ length: Math.floor(samples.length / HOP) }, (_, i) => look(samples, i * HOP));
  const loudest = moments.reduce((most, { voiced, level }) => (voiced ? Math.max(most, level) : most), 0);
  const places = [...moments.keys()].filter((i) => moments[i].voiced && moments[i].level > DEPTH * loudest);
  let count = 0;
  for (let from = 0, to; from < places.length; from = to) {
    to = from + 1;
    while (to < places.length && places[to] - places[to - 1] <= PAUSE) to++;
    const [first, last] = [places[from], places[to - 1]];
    const length = Math.min(moments.length, last + MARGIN) - Math.max(0, first - MARGIN);
    const levels = moments.slice(first, last + 1).map(({ level }) => level);
    if (to - from >= Math.max(LEAST, SHARE * length) && varies(levels)) count += to - from;
  }
  return (count * HOP) / RATE;
}

function varies(levels) {
  levels.sort((one, other) => one - other);
  const tenth = (i) => levels[Math.floor((i * levels.length) / 10)];
  return tenth(9) >= SPREAD * tenth(1);
}

/** Whether the moment that starts there is voiced, and how loud what repeats itself is. */
function look(samples, start) {
  const window = new Float64Array(WINDOW); // zeros behind the end of the sound
  window.set(samples.subarray(start, start + WINDOW));
  const mean = window.reduce((sum, sample) => sum + sample) / WINDOW;
  for (let i = 0; i < WINDOW; i++) window[i] = (window[i] - mean) * HANN[i];
  const correlated = correlation(window, WEIGHTS).map((value, lag) => value / OF_WINDOW[lag]);
  const power = correlated[0];
  const repeated = Math.min(power, Math.max(0, ...correlated.subarray(FIRST_LAG)));
  const all = window.reduce((sum, sample) => sum + sample ** 2, 0) / OF_WINDOW[0];
  return { voiced: power > IN_BAND ** 2 * all && repeated > CORRELATION * power, level: Math.sqrt(repeated) };
}

/** Of a window with itself, at lags from 0 to LAST_LAG, where each frequency of it has a weight. */
function correlation(window, weights) {
  const [real, imaginary] = [new Float64Array(FFT), new Float64Array(FFT)];
  real.set(window);
  transform(real, imaginary);
  for (let i = 0; i < FFT; i++) {
    const weight = weights[Math.min(i, FFT - i)] ?? 0;
    real[i] = (weight * (real[i] ** 2 + imaginary[i] ** 2)) / FFT;
  }
  imaginary.fill(0);
  transform(real, imaginary); // which is its own inverse where what goes in is even
  return real.subarray(0, LAST_LAG + 1);
}

/** The Fourier transform, in place (Cooley and Tukey 1965). */
function transform(real, imaginary) {
  for (let i = 1, j = 0; i < FFT; i++) {
    let bit = FFT / 2; // j counts as i does, with its bits the other way round
    for (; j & bit; bit /= 2) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let half = 1, step = FFT / 2; half < FFT; half *= 2, step /= 2) {
    for (let start = 0; start < FFT; start += 2 * half) {
      for (let i = start, at = 0; i < start + half; i++, at += step) {
        const j = i + half;
        const x = real[j] * COSINES[at] + imaginary[j] * SINES[at];
        const y = imaginary[j] * COSINES[at] - real[j] * SINES[at];
        real[j] = real[i] - x;
        imaginary[j] = imaginary[i] - y;
        real[i] += x;
        imaginary[i] += y;
      }
    }
  }
}

// The page: a voice, faces for it, also while it is spoken, others, those between two voices, and photographs ranked by
// the voice.

import { fade, stopFading } from "./fade.js";
import { Live } from "./live.js";
import { Model, angleBetween, merged, slerp } from "./model.js";
import { toPng } from "./png.js";
import { Recording, decode, drawWaveform, encodeVoice, toMono, weighed } from "./sound.js";

const COUNT = 6;
const STEP = 0.25; // radians, at most, between two faces that are drawn for a fade
const MOST_STEPS = 2; // each takes the server as long as the faces themselves
const element = (id) => document.getElementById(id);
const say = (text, isError = false, where = "status") => {
  element(where).textContent = text;
  element(where).classList.toggle("error", isError);
  if (where === "status") element("anyway").hidden = true; // it goes with one message alone
};

const slots = []; // {z, kept, item, button, canvas, link}
let model;
let connected; // what is pressed before that waits for it
let voices = []; // the last two: {name, seconds, pieces, embedding}
let recording = null;
let forming = null; // the embedding of what was heard so far, while somebody speaks and faces are drawn
let shown = null; // the embedding of the faces that are shown
let voicesHeard = 0;
let remembered = {}; // from one visit to the next, where the browser allows that
try {
  remembered = localStorage;
} catch {
  // then for this visit
}

async function start() {
  connected = Model.connect();
  const live = element("live");
  live.checked = remembered.live !== "off";
  live.addEventListener("change", () => (remembered.live = live.checked ? "on" : "off"));
  element("record").addEventListener("click", () => attempt(toggleRecording));
  element("file").addEventListener("change", ({ target }) => attempt(() => hearFile(target.files[0])));
  element("others").addEventListener("click", () => attempt(otherFaces));
  element("share").addEventListener("input", () => attempt(drawFaces));
  element("photographs").addEventListener("change", ({ target }) => attempt(() => rank(target.files), "photographs-status"));
  for (const button of document.querySelectorAll("[data-example]")) {
    button.addEventListener("click", () => attempt(() => hearExample(button)));
  }
  const drop = element("drop");
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop") attempt(() => hearFile(event.dataTransfer.files[0]));
    });
  }
  drawWaveform(element("waveform"), new Float32Array(1));
  try {
    model = await connected;
    element("taught").textContent = model.info.taught;
  } catch (error) {
    say(error.message, true);
    for (const control of document.querySelectorAll("button, input")) control.disabled = true;
  }
}

async function attempt(action, where = "status") {
  try {
    await connected;
    await action();
  } catch (error) {
    say(error.message, true, where);
  }
}

async function toggleRecording() {
  if (recording) {
    const hasFaces = forming !== null; // they have come about by this voice, and stay the same people
    await hear(await endRecording(), `voice ${voicesHeard + 1}`, hasFaces);
    return;
  }
  const button = element("record");
  let heard = 0;
  let recent = new Float32Array(0);
  let live;
  button.disabled = true;
  try {
    recording = await Recording.start((block, rate) => {
      heard += block.length;
      const kept = recent.subarray(Math.max(0, recent.length + block.length - 3 * rate));
      recent = new Float32Array(kept.length + block.length);
      recent.set(kept);
      recent.set(block, kept.length);
      drawWaveform(element("waveform"), recent);
      if (!recording) return;
      if (heard / rate >= model.info.max_seconds) attempt(toggleRecording);
      else if (element("live").checked) live.update(heard / rate);
    });
    const current = recording;
    live = new Live(model, current, async (embedding) => {
      if (recording !== current) return; // it has ended meanwhile
      if (!forming) renewFaces();
      forming = embedding;
      await drawFaces();
    });
  } finally {
    button.disabled = false;
  }
  button.setAttribute("aria-pressed", "true");
  element("record-text").textContent = "Done";
  say(`Listening. A few seconds are enough; press again when you are done.`);
}

function endRecording() {
  const done = recording;
  recording = null;
  forming = null;
  element("record").setAttribute("aria-pressed", "false");
  element("record-text").textContent = "Speak";
  return done.stop();
}

async function hearFile(file) {
  if (!file) return;
  if (recording) await endRecording(); // it was given up for the file
  await hear(await decode(file), file.name);
}

async function hearExample(button) {
  if (recording) await endRecording();
  const response = await fetch(button.dataset.example);
  await hear(await decode(await response.blob()), button.textContent.toLowerCase());
}

async function hear(buffer, name, hasFaces = false) {
  const { min_seconds: least, max_seconds: most } = model.info;
  if (buffer.duration < least) throw new Error(`That was too short: a voice must last at least ${least} s.`);
  const mono = await toMono(buffer);
  drawWaveform(element("waveform"), mono.samples);
  say("Looking for a voice …");
  const pieces = await weighed(encodeVoice(mono, most));
  if (!pieces.length) throw new Error("That was silent.");
  const voiced = pieces.filter(({ weight }) => weight);
  const voice = { name, seconds: buffer.duration, hasFaces };
  if (voiced.length) {
    await drawVoice({ ...voice, pieces: voiced });
    return;
  }
  say("That held no voice: hum, noise or music alone.", true);
  const alike = pieces.map((piece) => ({ ...piece, weight: 1 }));
  element("anyway").onclick = () => attempt(() => drawVoice({ ...voice, pieces: alike }));
  element("anyway").hidden = false;
}

async function drawVoice(voice) {
  say("Drawing …");
  voices = [...voices.slice(-1), { ...voice, embedding: merged(await model.hear(voice.pieces)) }];
  voicesHeard++;
  element("share").value = 100;
  if (voices.length === 2) {
    element("between").hidden = false;
    element("before").textContent = voices[0].name;
    element("after").textContent = voices[1].name;
  }
  element("others").disabled = false;
  if (!voice.hasFaces) renewFaces();
  await drawFaces();
  say(`Faces for ${voice.name}, ${voice.seconds.toFixed(1)} s.`);
}

async function otherFaces() {
  renewFaces();
  await drawFaces();
}

function renewFaces() {
  while (slots.length < COUNT) slots.push(makeSlot(slots.length + 1));
  for (const slot of slots) if (!slot.kept) slot.z = model.randomZ();
}

// While one request is under way, only the last of what is asked for meanwhile is asked next.
let drawing = null;
let again = false;

function drawFaces() {
  again = true;
  drawing ??= (async () => {
    try {
      while (again) {
        again = false;
        await drawOnce();
      }
    } finally {
      drawing = null;
    }
  })();
  return drawing;
}

async function drawOnce() {
  const live = forming;
  const way = live ? wayTo(live) : [slerp(voices[0].embedding, voices.at(-1).embedding, element("share").value / 100)];
  const zs = slots.map(({ z }) => z);
  element("faces").classList.toggle("busy", !live);
  try {
    const faces = await model.draw(way.flatMap((point) => zs.map(() => point)), way.flatMap(() => zs));
    if (live !== forming) return; // it comes too late: something else is shown or will be
    const fades = live && moves();
    shown = way.at(-1);
    const steps = way.map((_, step) => faces.slice(step * zs.length, (step + 1) * zs.length));
    const finish = () => slots.forEach((slot, i) => paint(slot, steps.at(-1)[i]));
    stopFading();
    if (fades) fade(slots.map(({ canvas }) => canvas), steps.map((row) => row.map((face) => pictureOf(face))), finish);
    else finish();
  } catch (error) {
    if (live === forming) throw error; // otherwise nobody waits for it any more
  } finally {
    element("faces").classList.remove("busy");
  }
}

/** The embeddings to be drawn, one after another, to get from what is shown to another: the farther, the more. */
function wayTo(end) {
  if (!moves()) return [end];
  const steps = Math.max(1, Math.min(MOST_STEPS, Math.ceil(angleBetween(shown, end) / STEP)));
  return Array.from({ length: steps }, (_, i) => slerp(shown, end, (i + 1) / steps));
}

/** Whether faces fade: not where there are none yet, nor for who asks the system for less motion. */
function moves() {
  return shown !== null && !matchMedia("(prefers-reduced-motion: reduce)").matches;
}

function makeSlot(number) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const canvas = document.createElement("canvas");
  const link = document.createElement("a");
  const slot = { z: null, kept: false, item, button, canvas, link };
  button.type = "button";
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", `Keep face ${number}`);
  button.addEventListener("click", () => {
    slot.kept = !slot.kept;
    button.setAttribute("aria-pressed", String(slot.kept));
  });
  link.textContent = "Download";
  link.setAttribute("aria-label", `Download face ${number}`);
  link.download = `synthetic-face-${number}.png`;
  button.append(canvas);
  item.append(button, link);
  element("faces").append(item);
  return slot;
}

function pictureOf({ size, pixels }, canvas = document.createElement("canvas")) {
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  pixels.forEach((pixel, i) => image.data.set([...pixel, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

async function paint({ canvas, link }, face) {
  pictureOf(face, canvas);
  const png = await toPng(canvas);
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(png);
}

async function rank(files) {
  if (!files.length) return;
  if (!voices.length) throw new Error("First a voice is needed.");
  const voice = voices.at(-1);
  const where = "photographs-status";
  const faces = [];
  for (const [i, file] of [...files].entries()) {
    say(`Looking for faces in photograph ${i + 1} of ${files.length} …`, false, where);
    faces.push(...(await model.faces(file)).map((face) => ({ ...face, file: file.name })));
  }
  if (!faces.length) throw new Error("No face was found.");
  const probabilities = await model.match(voice.pieces, faces.map((face) => face.jpeg_b64));
  const ranked = faces.map((face, i) => ({ ...face, probability: probabilities[i] }));
  ranked.sort((one, other) => other.probability - one.probability);
  element("ranking").replaceChildren(...ranked.map(rankedItem));
  const one = ranked.length === 1 ? " With a single face there is nothing to choose between." : "";
  say(`How well each face suits ${voice.name}, beside the others.${one}`, false, where);
}

function rankedItem({ jpeg_b64, file, probability }, place) {
  const item = document.createElement("li");
  const picture = document.createElement("img");
  const meter = document.createElement("meter");
  const text = document.createElement("span");
  picture.src = `data:image/jpeg;base64,${jpeg_b64}`;
  picture.alt = `Face ${place + 1}, from ${file}`;
  meter.value = probability;
  meter.setAttribute("aria-label", "suits the voice");
  text.textContent = `${(100 * probability).toFixed(1)} %`;
  item.append(picture, meter, text);
  return item;
}

start();

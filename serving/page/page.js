// The page: a voice, faces for it, others, those between two voices, and photographs ranked by the voice.

import { Model, slerp } from "./model.js";
import { toPng } from "./png.js";
import { Recording, decode, drawWaveform, encodeVoice, toMono, weighed } from "./sound.js";

const COUNT = 6;
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
let voicesHeard = 0;

async function start() {
  connected = Model.connect();
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
    await hear(await endRecording(), `voice ${voicesHeard + 1}`);
    return;
  }
  const button = element("record");
  let heard = 0;
  let recent = new Float32Array(0);
  button.disabled = true;
  try {
    recording = await Recording.start((block, rate) => {
      heard += block.length;
      const kept = recent.subarray(Math.max(0, recent.length + block.length - 3 * rate));
      recent = new Float32Array(kept.length + block.length);
      recent.set(kept);
      recent.set(block, kept.length);
      drawWaveform(element("waveform"), recent);
      if (heard / rate >= model.info.max_seconds && recording) attempt(toggleRecording);
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

async function hear(buffer, name) {
  const { min_seconds: least, max_seconds: most } = model.info;
  if (buffer.duration < least) throw new Error(`That was too short: a voice must last at least ${least} s.`);
  const mono = await toMono(buffer);
  drawWaveform(element("waveform"), mono.samples);
  say("Looking for a voice …");
  const pieces = await weighed(encodeVoice(mono, most));
  const voiced = pieces.filter(({ weight }) => weight);
  const voice = { name, seconds: buffer.duration };
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
  voices = [...voices.slice(-1), { ...voice, embedding: await model.embed(voice.pieces) }];
  voicesHeard++;
  element("share").value = 100;
  if (voices.length === 2) {
    element("between").hidden = false;
    element("before").textContent = voices[0].name;
    element("after").textContent = voices[1].name;
  }
  await otherFaces();
  say(`Faces for ${voice.name}, ${voice.seconds.toFixed(1)} s.`);
}

async function otherFaces() {
  while (slots.length < COUNT) slots.push(makeSlot(slots.length + 1));
  for (const slot of slots) if (!slot.kept) slot.z = model.randomZ();
  element("others").disabled = false;
  await drawFaces();
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
  const share = element("share").value / 100;
  const [first, last] = [voices[0].embedding, voices.at(-1).embedding];
  element("faces").classList.add("busy");
  try {
    const faces = await model.draw(slerp(first, last, share), slots.map((slot) => slot.z));
    faces.forEach((face, i) => paint(slots[i], face));
  } finally {
    element("faces").classList.remove("busy");
  }
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

async function paint({ canvas, link }, { size, pixels }) {
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  pixels.forEach((pixel, i) => image.data.set([...pixel, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
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

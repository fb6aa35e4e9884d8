// Faces that become others.

const MILLISECONDS = 800; // so that one fade has ended when the next face comes

let frame = 0;

/**
 * Fades what canvases show into the pictures of each step, one step after another, and calls `done`. `steps` are rows of
 * canvases, one for each that is shown.
 */
export function fade(canvases, steps, done) {
  const rows = [canvases.map(copy), ...steps];
  const start = performance.now();
  const next = (now) => {
    const at = (Math.max(0, now - start) / MILLISECONDS) * steps.length;
    if (at >= steps.length) {
      done();
      return;
    }
    const [before, after] = rows.slice(Math.floor(at));
    canvases.forEach((canvas, i) => {
      const context = canvas.getContext("2d");
      context.globalAlpha = 1;
      context.drawImage(before[i], 0, 0);
      context.globalAlpha = at % 1;
      context.drawImage(after[i], 0, 0);
    });
    frame = requestAnimationFrame(next);
  };
  frame = requestAnimationFrame(next);
}

export function stopFading() {
  cancelAnimationFrame(frame);
}

function copy(canvas) {
  const { width, height } = canvas;
  const copied = Object.assign(document.createElement("canvas"), { width, height });
  copied.getContext("2d").drawImage(canvas, 0, 0);
  return copied;
}

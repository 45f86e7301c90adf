// The demonstration: a digit that is drawn, or a picture of one, goes through a model at each stroke. The address says
// what the page shows first: ?model=NAME, ?picture=ADDRESS (as if that file were chosen), ?stroke=X,Y-X,Y-... (as if it
// were drawn; several are allowed; of 288 by 288 points).
import { load, tensor, version } from "./norma.mjs";

const SIZE = 8; // of the models' pictures
const MODELS = ["digits_cnn_bn", "digits_cnn_folded", "digits_cnn_dynamo", "digits_mlp"];
const LONG_ENOUGH = 50, MOST_RUNS = 2000; // milliseconds of runs: a browser's clock may tell no less than 0.1
const at = (id) => document.getElementById(id);
const drawing = at("drawing"), pen = drawing.getContext("2d", { willReadFrequently: true });
const seen = at("seen").getContext("2d");
let model = null;

function say(text, isError = false) {
  at("message").textContent = text;
  at("message").className = isError ? "error" : "";
  document.body.dataset.state = isError ? "error" : "ready";
}

// ------------------------------------------------------------------------------------------------------------- picture

// The ink's brightness at each point, 0 to 1.
function ink() {
  const { data } = pen.getImageData(0, 0, drawing.width, drawing.height);
  return Float32Array.from({ length: data.length / 4 }, (_, i) => (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 765);
}

// The square around the ink: the models were trained on digits that fill their picture.
function frame(points, width, height) {
  let [left, right, top, bottom] = [width, -1, height, -1];
  points.forEach((value, i) => {
    if (value < 0.3) return;
    const x = i % width, y = Math.floor(i / width);
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  });
  if (right < 0) return null;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

// Means over 8 by 8 cells; the width is kept in proportion to the height, as in the training data.
function shrink(points, width, height) {
  const box = frame(points, width, height), result = new Float32Array(SIZE * SIZE);
  if (!box) return result;
  const side = Math.max(box.height, box.width), left = box.left - (side - box.width) / 2, top = box.top - (side - box.height) / 2;
  const cell = side / SIZE;
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      let sum = 0, count = 0;
      for (let v = Math.floor(top + y * cell); v < top + (y + 1) * cell; v++) {
        for (let u = Math.floor(left + x * cell); u < left + (x + 1) * cell; u++, count++) {
          if (u >= 0 && v >= 0 && u < width && v < height) sum += points[v * width + u];
        }
      }
      result[y * SIZE + x] = sum / count;
    }
  }
  return result;
}

function showSeen(picture) {
  const image = seen.createImageData(SIZE, SIZE);
  picture.forEach((value, i) => image.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
  seen.putImageData(image, 0, 0);
}

function clear() {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, drawing.width, drawing.height);
}

// A picture of the models' own size is taken as it is; others are drawn, light on dark, and cut like a drawing.
async function takePicture(blob) {
  const image = await createImageBitmap(blob);
  clear();
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, 0, 0, drawing.width, drawing.height);
  const points = ink();
  const mean = points.reduce((sum, value) => sum + value, 0) / points.length;
  if (mean > 0.5) points.forEach((value, i) => { points[i] = 1 - value; });
  if (image.width !== SIZE || image.height !== SIZE) return classify(shrink(points, drawing.width, drawing.height));
  const step = drawing.width / SIZE;
  return classify(Float32Array.from({ length: SIZE * SIZE }, (_, i) =>
    points[(Math.floor(i / SIZE) + 0.5) * step * drawing.width + (i % SIZE + 0.5) * step]));
}

// ------------------------------------------------------------------------------------------------------------- results

function row(table, cells, isBest) {
  const line = table.insertRow();
  if (isBest) line.className = "best";
  for (const [content, name] of cells) {
    const cell = line.insertCell();
    cell.className = name ?? "";
    if (typeof content === "string") cell.textContent = content;
    else cell.append(content);
  }
}

function bar(share) {
  const made = document.createElement("div");
  made.className = "bar";
  made.style.width = `${100 * share}%`;
  return made;
}

function showClasses(probabilities) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  at("classes").replaceChildren();
  probabilities.forEach((value, digit) => row(at("classes"),
    [[String(digit)], [bar(value), "wide"], [`${(100 * value).toFixed(1)} %`, "number"]], digit === best));
  document.body.dataset.digit = best;
}

function showLayers(steps) {
  const all = steps.reduce((sum, step) => sum + step.milliseconds, 0) || 1;
  at("layers").replaceChildren();
  for (const { node, operator, milliseconds } of steps) {
    row(at("layers"), [[operator], [node, "node"], [bar(milliseconds / all), "wide"],
      [`${(1000 * milliseconds).toFixed(1)} µs`, "number"]]);
  }
}

let picture = null;

function classify(of) {
  picture = of;
  if (!model) return;
  showSeen(picture);
  const start = performance.now();
  let runs = 0, result;
  model.resetSteps();
  do {
    result = model.run({ picture: tensor("float32", [1, 1, SIZE, SIZE], picture) });
  } while (++runs < MOST_RUNS && performance.now() - start < LONG_ENOUGH);
  const mean = (performance.now() - start) / runs;
  showClasses(Array.from(result.probabilities.data));
  showLayers(model.steps);
  at("time").textContent = `${mean.toFixed(3)} ms per run, the mean of ${runs}; ` +
    `${(model.memoryUsed / 1024).toFixed(0)} KiB for the model and its run`;
}

async function choose(name) {
  const made = await load(new URL(`models/${name}/model.onnx`, import.meta.url));
  model?.close();
  model = made;
  say(`Norma ${await version()} runs ${name}: draw a digit, or choose a picture of one.`);
  if (picture) classify(picture);
}

// ------------------------------------------------------------------------------------------------------------- drawing

let isDown = false;

function pointOf(event) {
  const box = drawing.getBoundingClientRect();
  return [(event.clientX - box.left) * drawing.width / box.width, (event.clientY - box.top) * drawing.height / box.height];
}

drawing.addEventListener("pointerdown", (event) => {
  isDown = true;
  [pen.lineWidth, pen.lineCap, pen.lineJoin, pen.strokeStyle] = [30, "round", "round", "#fff"];
  pen.beginPath();
  pen.moveTo(...pointOf(event));
});
drawing.addEventListener("pointermove", (event) => {
  if (!isDown) return;
  pen.lineTo(...pointOf(event));
  pen.stroke();
  classify(shrink(ink(), drawing.width, drawing.height));
});
for (const end of ["pointerup", "pointerleave"]) drawing.addEventListener(end, () => { isDown = false; });

// A stroke as the pointer would make it.
function draw(stroke) {
  const box = drawing.getBoundingClientRect();
  const send = (kind, [x, y]) => drawing.dispatchEvent(new PointerEvent(kind, {
    clientX: box.left + x * box.width / drawing.width, clientY: box.top + y * box.height / drawing.height }));
  const points = stroke.split("-").map((pair) => pair.split(",").map(Number));
  send("pointerdown", points[0]);
  points.slice(1).forEach((point) => send("pointermove", point));
  send("pointerup", points.at(-1));
}

at("clear").addEventListener("click", () => {
  clear();
  classify(new Float32Array(SIZE * SIZE));
});
at("file").addEventListener("change", async ({ target }) => {
  try {
    if (target.files[0]) await takePicture(target.files[0]);
  } catch (error) {
    say(`This is no picture that the browser can read: ${error.message}`, true);
  }
});

const wanted = new URLSearchParams(location.search);
for (const name of MODELS) at("model").add(new Option(name));
at("model").value = wanted.get("model") ?? MODELS[0];
at("model").addEventListener("change", () => choose(at("model").value).catch((error) => say(error.message, true)));
clear();
try {
  await choose(at("model").value || MODELS[0]);
  for (const stroke of wanted.getAll("stroke")) draw(stroke);
  const address = wanted.get("picture");
  if (address) await takePicture(await (await fetch(address)).blob());
} catch (error) {
  say(error.message, true);
}
document.body.dataset.ready = "yes";

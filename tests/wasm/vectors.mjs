// Vectors in the ONNX backend layout under Node, as `norma test` runs them:
//
//   node tests/wasm/vectors.mjs MODULE-FOLDER DIR... [--manifest FILE]... [--every N] [--optimization none|basic|full]
//
// Each folder with model.onnx below a DIR is a test; --every 10 takes each tenth of them. A line for each failure and for
// each test that is skipped, since the module lacks an operator; the closing line is `N passed, N failed, N skipped`.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folders = [], manifests = [];
let every = 1, optimization = "full";
const words = process.argv.slice(2);
const modules = words.shift();
while (words.length) {
  const word = words.shift();
  if (word === "--manifest") manifests.push(words.shift());
  else if (word === "--every") every = Number(words.shift());
  else if (word === "--optimization") optimization = words.shift();
  else folders.push(word);
}
const { load, NormaError } = await import(pathToFileURL(resolve(modules, "norma.mjs")));

// ------------------------------------------------------------------------------------------------------------ manifest

const rules = manifests.flatMap((path) => readFileSync(path, "utf8").split("\n"))
  .filter((line) => line && !line.startsWith("#"))
  .map((line) => {
    const [glob, ...settings] = line.split(/\s+/);
    const pattern = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
    return [new RegExp(`^${pattern}$`), Object.fromEntries(settings.filter(Boolean).map((one) => one.split("=")))];
  });

function settingsOf(name) {
  let found = {};
  for (const [pattern, settings] of rules) if (pattern.test(name)) found = settings;
  return found;
}

// --------------------------------------------------------------------------------------------------------------- values

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

const single = new DataView(new ArrayBuffer(4));

function brain(bits) {
  single.setUint32(0, bits << 16);
  return single.getFloat32(0);
}

// Exponent and fraction bits of floats that have neither infinities nor NaN.
const SMALL_FLOATS = { float4e2m1: [2, 1], float6e2m3: [2, 3], float6e3m2: [3, 2] };

function smallFloat(code, [exponentBits, fractionBits]) {
  const sign = code >> (exponentBits + fractionBits) & 1 ? -1 : 1, bias = (1 << exponentBits - 1) - 1;
  const exponent = code >> fractionBits & (1 << exponentBits) - 1, fraction = (code & (1 << fractionBits) - 1) / (1 << fractionBits);
  return sign * (exponent ? 2 ** (exponent - bias) * (1 + fraction) : 2 ** (1 - bias) * fraction);
}

const PACKED = { uint4: 4, int4: 4, float4e2m1: 4, uint2: 2, int2: 2, float6e2m3: 6, float6e3m2: 6 };

// Element i of a packed tensor; the last byte may hold bits that are nobody's.
function unpack(data, bits, i) {
  const at = i * bits, byte = at >> 3;
  return ((data[byte] | (data[byte + 1] ?? 0) << 8) >> (at & 7)) & (1 << bits) - 1;
}

// What the elements stand for; bits where that is all that can be compared.
function numbers({ type, dims, data }) {
  const bits = PACKED[type];
  if (bits) {
    const small = SMALL_FLOATS[type];
    return Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => {
      const code = unpack(data, bits, i);
      return small ? smallFloat(code, small) : code;
    });
  }
  if (type === "float16") return Array.from(data, half);
  if (type === "bfloat16") return Array.from(data, brain);
  return data;
}

const FLOATS = new Set(["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]);

function differs(actual, expected, settings, where) {
  if (actual === null || expected === null) return actual === expected ? "" : `${where}: is${actual ? " not" : ""} empty`;
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) return `${where}: another sequence`;
    return expected.map((one, i) => differs(actual[i], one, settings, `${where}[${i}]`)).find(Boolean) ?? "";
  }
  if (expected instanceof Map) return differs([...actual.values()], [...expected.values()], settings, where);
  if ("optional" in expected) return differs(actual.optional ?? actual, expected.optional, settings, where);
  if (!("type" in actual)) return differs(actual.optional, expected, settings, where);
  if (actual.type !== expected.type) return `${where}: is ${actual.type}, expected ${expected.type}`;
  if (String(actual.dims) !== String(expected.dims)) return `${where}: is [${actual.dims}], expected [${expected.dims}]`;
  return differsInside(numbers(actual), numbers(expected), FLOATS.has(expected.type), settings, where);
}

function differsInside(a, b, isFloat, settings, where) {
  if (settings.compare === "domain") return "";
  const rtol = Number(settings.rtol ?? 1e-3), atol = Number(settings.atol ?? 1e-7);
  let largest = 0;
  if (settings.max) for (let i = 0; i < b.length; i++) if (Number.isFinite(b[i])) largest = Math.max(largest, Math.abs(b[i]));
  for (let i = 0; i < b.length; i++) {
    if (a[i] === b[i] || (Number.isNaN(a[i]) && Number.isNaN(b[i]))) continue;
    const number = (x) => (typeof x === "string" ? NaN : Number(x));
    const allowed = settings.max ? Number(settings.max) * largest : atol + rtol * Math.abs(number(b[i]));
    if ((isFloat || typeof b[i] !== "string") && Math.abs(number(a[i]) - number(b[i])) <= allowed) continue;
    return `${where}: element ${i} is ${a[i]}, expected ${b[i]}`;
  }
  return "";
}

// ---------------------------------------------------------------------------------------------------------------- tests

function testsBelow(folder) {
  if (existsSync(join(folder, "model.onnx"))) return [folder];
  return readdirSync(folder).sort().map((name) => join(folder, name))
    .filter((path) => statSync(path).isDirectory()).flatMap(testsBelow);
}

// What a file holds is not written in it: the slot of the model says it.
function readFileOf(model, path, slot) {
  const bytes = readFileSync(path);
  return model.readValue(bytes, slot.kind === "none" ? "tensor" : slot.kind);
}

async function runTest(folder) {
  const settings = settingsOf(basename(folder));
  const model = await load(readFileSync(join(folder, "model.onnx")), { optimization });
  try {
    const sets = readdirSync(folder).filter((name) => name.startsWith("test_data_set_"));
    if (sets.length === 0) return "no test_data_set";
    for (const set of sets) {
      const inputs = {};
      model.inputs.forEach((slot, i) => {
        const path = join(folder, set, `input_${i}.pb`);
        if (existsSync(path)) inputs[slot.name] = readFileOf(model, path, slot);
      });
      const outputs = model.run(inputs);
      for (const [i, slot] of model.outputs.entries()) {
        const path = join(folder, set, `output_${i}.pb`);
        if (!existsSync(path)) continue;
        const failure = differs(outputs[slot.name], readFileOf(model, path, slot), settings, `${set}: ${slot.name}`);
        if (failure) return failure;
      }
    }
    return "";
  } finally {
    model.close();
  }
}

const count = { passed: 0, failed: 0, skipped: 0 };
for (const folder of folders.flatMap(testsBelow).filter((_, i) => i % every === 0)) {
  let failure;
  try {
    failure = await runTest(folder);
  } catch (error) {
    if (error instanceof NormaError && error.code === "unsupported") {
      count.skipped++;
      console.log(`skipped ${folder}: ${error.message}`);
      continue;
    }
    failure = error instanceof NormaError ? `${error.code}: ${error.message}` : error.stack;
  }
  count[failure ? "failed" : "passed"]++;
  if (failure) console.log(`FAILED ${folder}: ${failure}`);
}
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed || !count.passed ? 1 : 0;

// Norma for browsers and Node: loads ONNX models and runs them, in WebAssembly with SIMD, on the thread that calls.
//
//   import { load, tensor } from "./norma.mjs";
//   const model = await load("model.onnx");
//   const { probabilities } = model.run({ picture: tensor("float32", [1, 1, 8, 8], pixels) });
//
// The types and what can go wrong stand in norma.d.ts. norma.wasm is looked for beside this file.

// Numbers of ONNX's element types, and the arrays that hold them. Types without an array of their own come as raw bits.
const ELEMENT_TYPES = [
  ["undefined", null], ["float32", Float32Array], ["uint8", Uint8Array], ["int8", Int8Array],
  ["uint16", Uint16Array], ["int16", Int16Array], ["int32", Int32Array], ["int64", BigInt64Array],
  ["string", null], ["bool", Uint8Array], ["float16", Uint16Array], ["float64", Float64Array],
  ["uint32", Uint32Array], ["uint64", BigUint64Array], ["complex64", Float32Array], ["complex128", Float64Array],
  ["bfloat16", Uint16Array], ["float8e4m3fn", Uint8Array], ["float8e4m3fnuz", Uint8Array],
  ["float8e5m2", Uint8Array], ["float8e5m2fnuz", Uint8Array], ["uint4", Uint8Array], ["int4", Uint8Array],
  ["float4e2m1", Uint8Array], ["float8e8m0", Uint8Array], ["uint2", Uint8Array], ["int2", Uint8Array],
  ["float6e2m3", Uint8Array], ["float6e3m2", Uint8Array],
];
const TYPE_NUMBERS = new Map(ELEMENT_TYPES.map(([name], number) => [name, number]));
const STRING = TYPE_NUMBERS.get("string");
const KINDS = ["none", "tensor", "sequence", "optional", "map"];
const LEVELS = { default: 0, none: 1, basic: 2, full: 3 };

export class NormaError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "NormaError";
    this.code = code;
  }
}

export function tensor(type, dims, data) {
  return { type, dims: Array.from(dims), data };
}

// ------------------------------------------------------------------------------------------------------ the WebAssembly

// A module of one function that uses a vector: () => i32x4.all_true(v128.const 0).
const SIMD_MODULE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 10, 25, 1, 23, 0, 253, 12, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 253, 163, 1, 11,
]);

export function isSupported() {
  return typeof WebAssembly === "object" && WebAssembly.validate(SIMD_MODULE);
}

// What the C library asks its surroundings for. There are no files, and nothing is printed.
function surroundings(memoryOf) {
  const NOT_THERE = 52; // ENOSYS of WASI
  const view = () => new DataView(memoryOf().buffer);
  const known = {
    clock_time_get(id, precision, result) {
      const milliseconds = id === 0 ? Date.now() : performance.now();
      view().setBigUint64(result, BigInt(Math.round(milliseconds * 1e6)), true);
      return 0;
    },
    clock_res_get(id, result) {
      view().setBigUint64(result, 1000n, true);
      return 0;
    },
    random_get(address, size) {
      globalThis.crypto?.getRandomValues(new Uint8Array(memoryOf().buffer, address, size));
      return globalThis.crypto ? 0 : NOT_THERE;
    },
    environ_sizes_get(count, bytes) {
      view().setUint32(count, 0, true);
      view().setUint32(bytes, 0, true);
      return 0;
    },
    environ_get: () => 0,
    proc_exit(code) {
      throw new NormaError("internal error", `the library ended itself with code ${code}`);
    },
    emscripten_notify_memory_growth() {},
  };
  return (name) => known[name] ?? (() => NOT_THERE);
}

async function bytesOf(source) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (typeof Blob !== "undefined" && source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if (typeof Response !== "undefined" && source instanceof Response) {
    if (!source.ok) throw new NormaError("file error", `${source.url}: ${source.status} ${source.statusText}`);
    return new Uint8Array(await source.arrayBuffer());
  }
  if (typeof source !== "string" && !(source instanceof URL)) {
    throw new NormaError("invalid argument", "a model is an ArrayBuffer, its view, a Blob, a Response, a path or a URL");
  }
  const isNode = typeof process !== "undefined" && process.versions?.node;
  if (isNode && !/^https?:/.test(String(source))) {
    const { readFile } = await import("node:fs/promises");
    try {
      return new Uint8Array(await readFile(source));
    } catch (error) {
      throw new NormaError("file error", error.message);
    }
  }
  return bytesOf(await fetch(source));
}

class Library {
  constructor(exports) {
    this.c = exports;
    this.error = exports.binding_error_create();
    this.encoder = new TextEncoder();
    this.decoder = new TextDecoder();
  }

  // Views of the memory are made anew for each use: it moves when it grows.
  bytes(address, size) {
    return new Uint8Array(this.c.memory.buffer, address, size);
  }

  allocate(size) {
    const address = this.c.malloc(Math.max(size, 1));
    if (!address) throw new NormaError("out of memory", `no memory for ${size} bytes`);
    return address;
  }

  // A copy of the bytes in the memory of the library while `use` runs.
  with(bytes, use) {
    const address = this.allocate(bytes.byteLength);
    try {
      this.bytes(address, bytes.byteLength).set(bytes);
      return use(address);
    } finally {
      this.c.free(address);
    }
  }

  withText(text, use) {
    return this.with(this.encoder.encode(`${text}\0`), use);
  }

  withDims(dims, use) {
    return this.with(new Uint8Array(Float64Array.from(dims).buffer), use);
  }

  text(address) {
    if (!address) return null;
    const memory = new Uint8Array(this.c.memory.buffer);
    return this.decoder.decode(memory.subarray(address, memory.indexOf(0, address)));
  }

  failure() {
    const text = this.text(this.c.binding_error_status_text(this.error));
    return new NormaError(text, this.text(this.c.binding_error_message(this.error)));
  }

  // The result of a call that gives NULL or false where it fails.
  good(result) {
    if (!result) throw this.failure();
    return result;
  }
}

const libraries = new Map(); // by the address of norma.wasm; a failure is forgotten, so that it can be tried again

async function compile(address) {
  const here = address ?? new URL("norma.wasm", import.meta.url);
  if (here instanceof WebAssembly.Module) return here;
  return WebAssembly.compile(await bytesOf(here));
}

async function makeLibrary(address) {
  if (!isSupported()) {
    throw new NormaError("unsupported", "this browser has no WebAssembly with SIMD, which Norma needs: " +
      "Chrome and Edge have it from version 91 on, Firefox from 89, Safari from 16.4, Node from 16.4");
  }
  const module = await compile(address);
  let instance;
  const find = surroundings(() => instance.exports.memory);
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) (imports[from] ??= {})[name] = find(name);
  instance = await WebAssembly.instantiate(module, imports);
  instance.exports._initialize?.();
  return new Library(instance.exports);
}

function library(address) {
  const key = address instanceof WebAssembly.Module ? address : String(address ?? "");
  if (!libraries.has(key)) {
    const made = makeLibrary(address);
    libraries.set(key, made);
    made.catch(() => libraries.delete(key));
  }
  return libraries.get(key);
}

export async function version(options = {}) {
  const lib = await library(options.wasm);
  return lib.text(lib.c.binding_version());
}

// --------------------------------------------------------------------------------------------------------------- values

function isTensor(value) {
  return value !== null && typeof value === "object" && "type" in value && "dims" in value && "data" in value;
}

function product(dims) {
  return dims.reduce((size, dim) => size * dim, 1);
}

// Makes the library's value of a value of JavaScript; the caller destroys it.
function give(lib, model, value) {
  const c = lib.c;
  if (isTensor(value)) return giveTensor(lib, model, value);
  if (value === null || value === undefined) return lib.good(c.binding_optional(model, 0, lib.error));
  if (Array.isArray(value)) {
    return giveAll(lib, model, value, (addresses, count) => lib.good(c.binding_sequence(model, addresses, count, lib.error)));
  }
  if (value instanceof Map) {
    const [keys, values] = [value.get("keys"), value.get("values")];
    return giveAll(lib, model, [keys, values], (addresses) => {
      const pair = new Uint32Array(c.memory.buffer, addresses, 2);
      return lib.good(c.binding_map(model, pair[0], pair[1], lib.error));
    });
  }
  if (typeof value === "object" && "optional" in value) {
    return giveAll(lib, model, [value.optional], (addresses) => {
      const element = new Uint32Array(c.memory.buffer, addresses, 1)[0];
      return lib.good(c.binding_optional(model, element, lib.error));
    });
  }
  throw new NormaError("invalid argument", "a value is a tensor, an array of values, null, or { keys, values }");
}

function giveAll(lib, model, values, use) {
  const made = [];
  try {
    for (const value of values) made.push(give(lib, model, value));
    return lib.with(new Uint8Array(Uint32Array.from(made).buffer), (addresses) => use(addresses, made.length));
  } finally {
    for (const one of made) lib.c.binding_value_destroy(one);
  }
}

function giveTensor(lib, model, { type, dims, data }) {
  const number = TYPE_NUMBERS.get(type);
  if (!number) throw new NormaError("invalid argument", `there is no element type '${type}'`);
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new NormaError("invalid argument", `[${dims}] is no shape`);
  }
  return lib.withDims(dims, (dimsAt) => {
    if (number === STRING) return giveStrings(lib, model, dims, dimsAt, data);
    const bytes = lib.c.binding_tensor_bytes(number, dims.length, dimsAt);
    const Holder = ELEMENT_TYPES[number][1];
    const held = ArrayBuffer.isView(data) ? data : Holder.from(data);
    if (!(held instanceof Holder)) {
      throw new NormaError("invalid argument", `${type} takes a ${Holder.name}, not a ${held.constructor.name}`);
    }
    if (bytes !== held.byteLength) {
      throw new NormaError("invalid argument",
        `a ${type} tensor of shape [${dims}] takes ${bytes / Holder.BYTES_PER_ELEMENT} numbers, not ${held.length}`);
    }
    const value = lib.good(lib.c.binding_tensor(model, number, dims.length, dimsAt, lib.error));
    const at = lib.c.binding_value_data(value);
    lib.bytes(at, bytes).set(new Uint8Array(held.buffer, held.byteOffset, held.byteLength));
    return value;
  });
}

function giveStrings(lib, model, dims, dimsAt, data) {
  if (data.length !== product(dims)) {
    throw new NormaError("invalid argument", `shape [${dims}] takes ${product(dims)} strings, not ${data.length}`);
  }
  const parts = Array.from(data, (text) => lib.encoder.encode(text));
  const sizes = Uint32Array.from(parts, (part) => part.length);
  const all = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return lib.with(all, (bytes) => lib.with(new Uint8Array(sizes.buffer), (sizesAt) =>
    lib.good(lib.c.binding_strings(model, dims.length, dimsAt, bytes, sizesAt, parts.length, lib.error))));
}

// The other way, as a copy.
function take(lib, value) {
  const c = lib.c;
  switch (KINDS[c.binding_value_kind(value)]) {
    case "tensor":
      return takeTensor(lib, value);
    case "sequence":
      return Array.from({ length: c.binding_value_count(value) }, (_, i) => take(lib, c.binding_value_element(value, i)));
    case "optional":
      return c.binding_value_count(value) ? { optional: take(lib, c.binding_value_element(value, 0)) } : null;
    case "map":
      return new Map([["keys", take(lib, c.binding_value_element(value, 0))],
        ["values", take(lib, c.binding_value_element(value, 1))]]);
    default:
      return null;
  }
}

function takeTensor(lib, value) {
  const c = lib.c;
  const number = c.binding_value_type(value);
  const dims = Array.from({ length: c.binding_value_rank(value) }, (_, axis) => c.binding_value_dim(value, axis));
  const [type, Holder] = ELEMENT_TYPES[number];
  if (number === STRING) {
    const data = Array.from({ length: product(dims) }, (_, i) => lib.decoder.decode(
      lib.bytes(c.binding_value_string(value, i), c.binding_value_string_size(value, i))));
    return { type, dims, data };
  }
  const bytes = lib.withDims(dims, (dimsAt) => c.binding_tensor_bytes(number, dims.length, dimsAt));
  const copy = lib.bytes(c.binding_value_data(value), bytes).slice();
  return { type, dims, data: new Holder(copy.buffer) };
}

// --------------------------------------------------------------------------------------------------------------- models

export async function load(source, options = {}) {
  const lib = await library(options.wasm);
  const level = LEVELS[options.optimization ?? "default"];
  if (level === undefined) throw new NormaError("invalid argument", "optimization is none, basic or full");
  const bytes = await bytesOf(source);
  const model = lib.with(bytes, (at) => lib.good(
    lib.c.binding_open(at, bytes.byteLength, level, options.exact ?? false, options.maxMemory ?? 0, lib.error)));
  return new Model(lib, model);
}

function slots(lib, model, isOutput) {
  const c = lib.c;
  return Array.from({ length: c.binding_slot_count(model, isOutput) }, (_, i) => {
    const rank = c.binding_slot_rank(model, isOutput, i);
    const dims = rank < 0 ? null : Array.from({ length: rank }, (__, axis) => {
      const dim = c.binding_slot_dim(model, isOutput, i, axis);
      return dim >= 0 ? dim : lib.text(c.binding_slot_dim_name(model, isOutput, i, axis));
    });
    return {
      name: lib.text(c.binding_slot_name(model, isOutput, i)),
      kind: KINDS[c.binding_slot_kind(model, isOutput, i)],
      type: ELEMENT_TYPES[c.binding_slot_type(model, isOutput, i)][0],
      dims,
      optional: Boolean(c.binding_slot_is_optional(model, isOutput, i)),
    };
  });
}

class Model {
  #lib;
  #model;

  constructor(lib, model) {
    this.#lib = lib;
    this.#model = model;
    this.inputs = slots(lib, model, 0);
    this.outputs = slots(lib, model, 1);
  }

  #open() {
    if (!this.#model) throw new NormaError("invalid argument", "the model was closed");
    return this.#lib;
  }

  run(inputs, { timeout = 0 } = {}) {
    const lib = this.#open();
    const given = [];
    try {
      for (const [name, value] of Object.entries(inputs)) {
        const made = give(lib, this.#model, value);
        given.push(made);
        lib.withText(name, (at) => lib.good(lib.c.binding_set_input(this.#model, at, made, lib.error)));
      }
      lib.good(lib.c.binding_run(this.#model, timeout, lib.error));
      return Object.fromEntries(this.outputs.map(({ name }, i) =>
        [name, take(lib, lib.c.binding_output(this.#model, i))]));
    } finally {
      lib.c.binding_clear_inputs(this.#model);
      for (const value of given) lib.c.binding_value_destroy(value);
    }
  }

  get steps() {
    const lib = this.#open();
    return Array.from({ length: lib.c.binding_step_count(this.#model) }, (_, i) => ({
      node: lib.text(lib.c.binding_step_node(this.#model, i)),
      operator: lib.text(lib.c.binding_step_operator(this.#model, i)),
      milliseconds: lib.c.binding_step_nanoseconds(this.#model, i) / 1e6,
    }));
  }

  resetSteps() {
    const lib = this.#open();
    lib.c.binding_steps_reset(this.#model);
  }

  get memoryUsed() {
    const lib = this.#open();
    return lib.c.binding_memory_used(this.#model);
  }

  readValue(bytes, kind = "tensor") {
    const lib = this.#open();
    const value = lib.with(bytes, (at) =>
      lib.good(lib.c.binding_read(this.#model, at, bytes.byteLength, KINDS.indexOf(kind), lib.error)));
    try {
      return take(lib, value);
    } finally {
      lib.c.binding_value_destroy(value);
    }
  }

  close() {
    if (this.#model) this.#lib.c.binding_close(this.#model);
    this.#model = 0;
  }
}

/** Norma for browsers and Node: loads ONNX models and runs them, in WebAssembly with SIMD, on the thread that calls. */

/** Element types by ONNX's names. */
export type ElementType =
  | "float32" | "float64" | "float16" | "bfloat16"
  | "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64"
  | "bool" | "string" | "complex64" | "complex128"
  | "float8e4m3fn" | "float8e4m3fnuz" | "float8e5m2" | "float8e5m2fnuz" | "float8e8m0"
  | "float4e2m1" | "float6e2m3" | "float6e3m2" | "uint4" | "int4" | "uint2" | "int2";

/**
 * What holds the elements, in row-major order: the typed array of that name; Uint8Array for bool (0 or 1), for floats of
 * 8 bits and less and for integers of 4 and 2 bits (packed as ONNX packs them); Uint16Array for float16 and bfloat16 (their
 * bits); pairs of real and imaginary part for complex numbers; strings for strings.
 */
export type Elements =
  | Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | BigInt64Array
  | Uint8Array | Uint16Array | Uint32Array | BigUint64Array | string[];

export interface Tensor {
  type: ElementType;
  dims: number[];
  data: Elements;
}

/** A sequence is an array, an optional null or its element in an object, a map has the keys "keys" and "values". */
export type Value = Tensor | Value[] | null | { optional: Value } | Map<"keys" | "values", Value>;

/** A tensor; `data` that is no typed array is copied into one. Nothing is checked before it is used. */
export function tensor(type: ElementType, dims: Iterable<number>, data: Elements | number[] | bigint[]): Tensor;

/** An input or output of a model. */
export interface Slot {
  name: string;
  kind: "tensor" | "sequence" | "optional" | "map" | "none";
  type: ElementType | "undefined";
  /** null: not known. A size that is open is null, or its name. */
  dims: (number | string | null)[] | null;
  /** An input that may be left out. */
  optional: boolean;
}

/** A step of a run: a node of the model, or several that were joined. The time is a mean over runs. */
export interface Step {
  node: string;
  operator: string;
  milliseconds: number;
}

/** What went wrong: `code` as norma_status_text of norma.h gives it, the message as a sentence with names. */
export class NormaError extends Error {
  code:
    | "invalid argument" | "out of memory" | "budget exceeded" | "file error" | "malformed file" | "invalid model"
    | "unsupported" | "invalid input" | "operator failed" | "cancelled" | "deadline exceeded"
    | "thread creation failed" | "internal error";
}

export interface Options {
  /** How much of the graph is rewritten (norma_optimization); default: "full". */
  optimization?: "none" | "basic" | "full";
  /** Only what rounds as "none" does. */
  exact?: boolean;
  /** Bytes that the model and its runs may take; default: what the memory can grow to. */
  maxMemory?: number;
  /** Where norma.wasm is; default: beside norma.mjs. */
  wasm?: string | URL | WebAssembly.Module;
}

export interface Model {
  readonly inputs: Slot[];
  readonly outputs: Slot[];
  /** Runs the model and gives all outputs, as copies. `timeout` in seconds. */
  run(inputs: Record<string, Value>, options?: { timeout?: number }): Record<string, Value>;
  /** Steps of the last run, measured over all runs since the model was loaded or resetSteps was called. */
  readonly steps: Step[];
  resetSteps(): void;
  /** Bytes that the model and its session hold. */
  readonly memoryUsed: number;
  /** A value from the bytes of a .pb file (TensorProto, SequenceProto, OptionalProto). */
  readValue(bytes: Uint8Array, kind?: "tensor" | "sequence" | "optional" | "map"): Value;
  /** Frees the model; any further use is an error. */
  close(): void;
}

/** Whether there is WebAssembly with SIMD here; `load` says so too, as "unsupported". */
export function isSupported(): boolean;

/**
 * Loads a model; external data are refused. A string is a URL in a browser, and a path or an http URL in Node. Throws
 * NormaError: "unsupported" also where there is no SIMD.
 */
export function load(
  source: ArrayBuffer | ArrayBufferView | Blob | Response | string | URL, options?: Options): Promise<Model>;

/** The version of the library. */
export function version(options?: Pick<Options, "wasm">): Promise<string>;

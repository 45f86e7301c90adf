// The module for JavaScript under Node: node test_module.mjs FOLDER, where norma.mjs and norma.wasm are, in the root of
// the source tree. Needs the operators of models/digits_*, or of digits_mlp alone (--only mlp).
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [folder, option, only] = process.argv.slice(2);
const norma = await import(pathToFileURL(resolve(folder, "norma.mjs")));
const { load, tensor, version, isSupported, NormaError } = norma;
const names = option === "--only" ? [`digits_${only}`] : ["digits_mlp", "digits_cnn_bn", "digits_cnn_dynamo", "digits_cnn_folded"];
let checks = 0;

async function test(name, body) {
  try {
    await body();
    checks++;
    console.log(`ok: ${name}`);
  } catch (error) {
    console.log(`FAILED: ${name}: ${error.stack}`);
    process.exitCode = 1;
  }
}

function refused(code, words, call) {
  return assert.rejects(async () => call(), (error) => {
    assert.ok(error instanceof NormaError, `a NormaError, not ${error.stack}`);
    assert.equal(error.code, code, error.message);
    for (const word of words) assert.ok(error.message.includes(word), `'${word}' in '${error.message}'`);
    return true;
  });
}

const picture = new Float32Array(64);
for (let y = 0; y < 8; y++) picture[8 * y + 3] = picture[8 * y + 4] = 1;

await test("version", async () => {
  const header = await readFile("engine/norma.h", "utf8");
  const parts = ["MAJOR", "MINOR", "PATCH"].map((part) => header.match(`NORMA_VERSION_${part} (\\d+)`)[1]);
  assert.equal(await version(), parts.join("."));
  assert.ok(isSupported());
});

for (const name of names) {
  for (const optimization of ["none", "basic", "full"]) {
    await test(`${name}, ${optimization}`, async () => {
      const model = await load(`models/${name}/model.onnx`, { optimization });
      for (const set of (await readdir(`models/${name}`)).filter((one) => one.startsWith("test_data_set_"))) {
        const path = `models/${name}/${set}`;
        const input = model.readValue(await readFile(`${path}/input_0.pb`));
        const expected = model.readValue(await readFile(`${path}/output_0.pb`));
        const actual = model.run({ [model.inputs[0].name]: input })[model.outputs[0].name];
        assert.deepEqual(actual.dims, expected.dims);
        assert.equal(actual.type, "float32");
        actual.data.forEach((value, i) => assert.ok(Math.abs(value - expected.data[i]) <= 1e-5, `${value}, ${expected.data[i]}`));
      }
      model.close();
    });
  }
}

await test("the same to the bit, alone and in a batch, and again", async () => {
  const model = await load(new Uint8Array(await readFile(`models/${names[0]}/model.onnx`)));
  const one = model.run({ picture: tensor("float32", [1, 1, 8, 8], picture) }).probabilities;
  const three = new Float32Array(192);
  for (let i = 0; i < 3; i++) three.set(picture, 64 * i);
  const all = model.run({ picture: tensor("float32", [3, 1, 8, 8], three) }).probabilities;
  for (let i = 0; i < 3; i++) assert.deepEqual(all.data.slice(10 * i, 10 * i + 10), one.data);
  assert.deepEqual(model.run({ picture: tensor("float32", [1, 1, 8, 8], Array.from(picture)) }).probabilities, one);
  assert.ok(model.steps.length > 0 && model.steps.every((step) => step.node && step.operator && step.milliseconds >= 0));
  assert.ok(model.memoryUsed > 0);
  model.close();
});

await test("what a model tells", async () => {
  const model = await load(`models/${names[0]}/model.onnx`);
  assert.equal(model.inputs.length, 1);
  const { name, kind, type, dims, optional } = model.inputs[0];
  assert.deepEqual([name, kind, type, optional], ["picture", "tensor", "float32", false]);
  assert.equal(dims.length, 4);
  assert.equal(typeof dims[0], "string"); // the open one has a name
  assert.deepEqual(dims.slice(1), [1, 8, 8]);
  model.close();
});

await test("what is refused", async () => {
  const bytes = await readFile(`models/${names[0]}/model.onnx`);
  const model = await load(bytes);
  await refused("invalid input", ["picture"], () => model.run({}));
  await refused("invalid argument", ["nothing"], () => model.run({ nothing: tensor("float32", [1], [0]) }));
  await refused("invalid input", ["picture"], () => model.run({ picture: tensor("int64", [1, 1, 8, 8], new BigInt64Array(64)) }));
  await refused("invalid argument", ["64 numbers, not 3"], () => model.run({ picture: tensor("float32", [1, 1, 8, 8], [1, 2, 3]) }));
  await refused("invalid argument", ["Float32Array", "Uint8Array"], () => model.run({ picture: tensor("float32", [1, 1, 8, 8], new Uint8Array(64)) }));
  await refused("invalid argument", ["-1"], () => model.run({ picture: tensor("float32", [-1, 1, 8, 8], []) }));
  await refused("invalid argument", ["float31"], () => model.run({ picture: tensor("float31", [1], [0]) }));
  await refused("invalid argument", ["a value is"], () => model.run({ picture: 3 }));
  // It works after all that.
  assert.equal(model.run({ picture: tensor("float32", [1, 1, 8, 8], picture) }).probabilities.data.length, 10);
  model.close();
  model.close();
  await refused("invalid argument", ["closed"], () => model.run({}));
  await refused("malformed file", ["byte"], () => load(bytes.subarray(0, 1000)));
  await refused("malformed file", [], () => load(new Uint8Array([255, 255, 255])));
  await refused("file error", ["nowhere.onnx"], () => load("nowhere.onnx"));
  await refused("invalid argument", ["none, basic or full"], () => load(bytes, { optimization: "some" }));
  await refused("invalid argument", ["ArrayBuffer"], () => load(3));
  await refused("budget exceeded", [], () => load(bytes, { maxMemory: 10000 }));
});

await test("memory is given back", async () => {
  const bytes = await readFile(`models/${names[0]}/model.onnx`);
  const wasm = await WebAssembly.compile(await readFile(`${folder}/norma.wasm`));
  for (let i = 0; i < 2000; i++) {
    const model = await load(bytes, { wasm });
    model.run({ picture: tensor("float32", [1, 1, 8, 8], picture) });
    model.close();
  } // 2000 of 70 kB and their sessions would need some 400 MB
  const model = await load(bytes, { wasm });
  assert.ok(model.memoryUsed < 1e6);
  model.close();
});

await test("a browser without SIMD", async () => {
  const validate = WebAssembly.validate;
  WebAssembly.validate = () => false;
  try {
    assert.ok(!isSupported());
    await refused("unsupported", ["SIMD", "Firefox", "Safari"], () => load(new Uint8Array(3), { wasm: "elsewhere" }));
  } finally {
    WebAssembly.validate = validate;
  }
});

console.log(`${checks} passed`);

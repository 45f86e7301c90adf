/*
 * GatherBlockQuantized: each layout of codes against the formula on unpacked numbers, indices out of range, and what
 * does not fit.
 */
#include "ops/quantized/quantization.h"
#include "tests/ops/quantized/quantized_reference.h"

#define SCALE_TYPES (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))
#define FLOAT_CODES                                                                                                    \
  (TYPE_BIT(NORMA_FLOAT8E4M3FN) | TYPE_BIT(NORMA_FLOAT8E4M3FNUZ) | TYPE_BIT(NORMA_FLOAT8E5M2) |                        \
   TYPE_BIT(NORMA_FLOAT8E5M2FNUZ) | TYPE_BIT(NORMA_FLOAT4E2M1))

static void set_attributes(driver_call *call, int64_t gather_axis, int64_t quantize_axis, int64_t block, int64_t bits) {
  call->domain = "com.microsoft";
  call->attributes[0] = (attribute)DRIVER_INT("gather_axis", gather_axis);
  call->attributes[1] = (attribute)DRIVER_INT("quantize_axis", quantize_axis);
  call->attributes[2] = (attribute)DRIVER_INT("block_size", block);
  call->attributes[3] = (attribute)DRIVER_INT("bits", bits);
}

/* Powers of two, so that no product is rounded in any type. */
static const value *make_scales(workbench *bench, norma_element_type type, shape shape) {
  double numbers[256];
  for (int64_t i = 0; i < shape_count(&shape); i++) numbers[i] = ldexp(1, (int)(i % 5) - 2);
  return bench_tensor(bench, type, shape, numbers);
}

/* ------------------------------------------------------------------------------------------------- tensors of codes */

typedef struct gathered_case {
  norma_element_type code, scale, index;
  int gather_axis, quantize_axis;
  bool has_zeros, repeats; /* repeats: scales have a dimension of 1 on axis 0, where that is not quantized */
  int64_t block;
} gathered_case;

/* Data of 3 x 20 x 5. */
static void check_codes(workbench *bench, const gathered_case *c) {
  const shape data_shape = SHAPE(3, 20, 5);
  shape scale_shape = data_shape, out = data_shape;
  const int64_t size = data_shape.dims[c->gather_axis], count = data_shape.dims[c->quantize_axis];
  const int64_t block = c->block ? c->block : count;
  const int64_t chosen[4] = {size - 1, -size, size, 1}; /* the third is out of range */
  scale_shape.dims[c->quantize_axis] = (count + block - 1) / block;
  if (c->repeats && c->quantize_axis != 0) scale_shape.dims[0] = 1;
  const value *data = bench_random(bench, c->code, data_shape, -6, 7),
              *scales = make_scales(bench, c->scale, scale_shape);
  const value *zeros = c->has_zeros ? bench_random(bench, c->code, scale_shape, 0, 7) : NULL;
  const value *indices =
      bench_tensor(bench, c->index, SHAPE(2, 2), NUMBERS(chosen[0], chosen[1], chosen[2], chosen[3]));
  driver_call call = CALL("GatherBlockQuantized", 1, data, indices, scales, zeros);
  call.input_count = zeros ? 4 : 3;
  set_attributes(&call, c->gather_axis, c->quantize_axis - 3, c->block, 4);
  double expected[20 * 5 * 4 * 4];
  out.dims[c->gather_axis] = 4;
  for (int64_t i = 0; i < shape_count(&out); i++) {
    int64_t at[NORMA_MAX_RANK], of_scale[NORMA_MAX_RANK];
    shape_coordinates(&out, i, at);
    const int64_t index = chosen[at[c->gather_axis]];
    at[c->gather_axis] = index < 0 ? index + size : index;
    for (int d = 0; d < 3; d++) of_scale[d] = d == c->quantize_axis ? at[d] / block : at[d];
    if (c->repeats && c->quantize_axis != 0) of_scale[0] = 0;
    if (index >= size) {
      expected[i] = 0;
      continue;
    }
    const int64_t place = shape_place(&scale_shape, of_scale);
    expected[i] = (driver_element(data, shape_place(&data_shape, at)) - (zeros ? driver_element(zeros, place) : 0)) *
                  driver_element(scales, place);
  }
  shape result = shape_of_rank(0);
  for (int d = 0; d < 3; d++) {
    result.dims[result.rank++] = d == c->gather_axis ? 2 : data_shape.dims[d];
    if (d == c->gather_axis) result.dims[result.rank++] = 2;
  }
  check_tensor(bench_run(bench, &call), c->scale, result, expected);
  bench_clear(bench);
}

static void codes_of_their_own_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(code, TYPES_4BIT | FLOAT_CODES) {
    FOR_TYPES(scale, SCALE_TYPES) {
      for (int axes = 0; axes < 9; axes++) {
        const bool is_float = (TYPE_BIT(code) & FLOAT_CODES) != 0;
        gathered_case c = {.code = code, .scale = scale, .index = axes % 2 ? NORMA_INT32 : NORMA_INT64, .block = 16};
        c.gather_axis = axes / 3;
        c.quantize_axis = axes % 3;
        check_codes(&bench, &c);
        c.has_zeros = !is_float;
        c.repeats = is_float;
        c.block = is_float ? 0 : 16;
        check_codes(&bench, &c);
      }
    }
  }
  bench_finish(&bench);
}

/* ----------------------------------------------------------------------------------------------------- packed bytes */

static int byte_code(const value *bytes, int64_t row, int64_t column, int bits) {
  const int codes = 8 / bits;
  const int64_t width = bytes->tensor.dims[bytes->tensor.rank - 1];
  return (int)driver_element(bytes, row * width + column / codes) >> (int)(column % codes) * bits & ((1 << bits) - 1);
}

/* A table of 5 x 72 codes in blocks of 16: 5 blocks, which fill no whole number of bytes. */
static void check_bytes(workbench *bench, int bits, norma_element_type scale, bool has_zeros) {
  const int64_t codes = 8 / bits, chosen[] = {4, 0, -1, 7, -6};
  const value *data = bench_random(bench, NORMA_UINT8, SHAPE(5, 72 / codes), 0, 256);
  const value *scales = make_scales(bench, scale, SHAPE(5, 5));
  const value *zeros = has_zeros ? bench_random(bench, NORMA_UINT8, SHAPE(5, (5 + codes - 1) / codes), 0, 256) : NULL;
  driver_call call = CALL("GatherBlockQuantized", 1, data, bench_ints(bench, SHAPE(5), chosen), scales, zeros);
  call.input_count = zeros ? 4 : 3;
  set_attributes(&call, 0, 1, 16, bits);
  double expected[5 * 72] = {0};
  for (int64_t i = 0; i < 5 * 72; i++) {
    const int64_t index = chosen[i / 72], row = index < 0 ? index + 5 : index, block = i % 72 / 16;
    if (row < 0 || row >= 5) continue;
    const int zero = zeros ? byte_code(zeros, row, block, bits) : 1 << (bits - 1);
    expected[i] = (byte_code(data, row, i % 72, bits) - zero) * driver_element(scales, row * 5 + block);
  }
  check_tensor(bench_run(bench, &call), scale, SHAPE(5, 72), expected);
  bench_clear(bench);
}

static void codes_packed_in_bytes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int bits = 2; bits <= 8; bits *= 2) {
    FOR_TYPES(scale, SCALE_TYPES) {
      check_bytes(&bench, bits, scale, false);
      check_bytes(&bench, bits, scale, true);
    }
  }
  bench_finish(&bench);
}

/* A scalar index takes the axis away; nothing is gathered by no indices, or from no codes. */
static void ranks_and_empty_tensors(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *data = bench_tensor(&bench, NORMA_INT4, SHAPE(2, 3), NUMBERS(1, 2, 3, -4, -5, -6));
  const value *scales = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1), NUMBERS(2, 0.5));
  driver_call call = CALL("GatherBlockQuantized", 1, data, bench_int(&bench, 1), scales);
  set_attributes(&call, 0, 1, 16, 4);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3), NUMBERS(-2, -2.5, -3));
  call.inputs[1] = bench_tensor(&bench, NORMA_INT64, SHAPE(0), NULL);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(0, 3), NULL);
  call.inputs[0] = bench_tensor(&bench, NORMA_INT4, SHAPE(2, 0), NULL);
  call.inputs[1] = bench_int(&bench, 1);
  call.inputs[2] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 0), NULL);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(0), NULL);
  bench_finish(&bench);
}

static void refuse(workbench *bench, driver_call call, int64_t gather_axis, int64_t quantize_axis, int64_t block,
                   int64_t bits, const char *text) {
  const bool by_sizes = strstr(text, "entries") != NULL; /* which the model does not tell */
  set_attributes(&call, gather_axis, quantize_axis, block, bits);
  bench_refuse(bench, &call, by_sizes ? NORMA_ERROR_INPUT : NORMA_ERROR_INVALID_MODEL, text);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *index = bench_int(&bench, 0), *bytes = bench_tensor(&bench, NORMA_UINT8, SHAPE(2, 24), NULL);
  const value *nibbles = bench_tensor(&bench, NORMA_UINT4, SHAPE(2, 48), NULL);
  const value *floats = bench_tensor(&bench, NORMA_FLOAT8E5M2, SHAPE(2, 48), NULL);
  const value *scales = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL);
  const driver_call of_bytes = CALL("GatherBlockQuantized", 1, bytes, index, scales);
  driver_call of_nibbles = CALL("GatherBlockQuantized", 1, nibbles, index, scales);
  refuse(&bench, of_bytes, 0, 1, 16, 3, "bits are 3");
  refuse(&bench, of_bytes, 0, 1, 24, 4, "block_size is 24");
  refuse(&bench, of_bytes, 0, 1, 8, 4, "block_size is 8");
  refuse(&bench, of_bytes, 0, 1, 0, 4, "block_size is 0");
  refuse(&bench, of_bytes, 1, 1, 16, 4, "gathered along the first axis");
  refuse(&bench, of_bytes, 0, 0, 16, 4, "gathered along the first axis");
  refuse(&bench, of_bytes, 0, 1, 32, 4, "input 2 has 3 entries in dimension 1, not 2");
  refuse(&bench, of_nibbles, 2, 1, 16, 4, "gather_axis is out of range");
  refuse(&bench, of_nibbles, 0, -3, 16, 4, "quantize_axis is out of range");
  refuse(&bench, of_nibbles, 0, 1, 16, 8, "another number of bits");
  of_nibbles.inputs[3] = bench_tensor(&bench, NORMA_UINT8, SHAPE(2, 3), NULL);
  of_nibbles.input_count = 4;
  refuse(&bench, of_nibbles, 0, 1, 16, 4, "zero_points is of type uint8");
  of_nibbles.inputs[3] = bench_tensor(&bench, NORMA_UINT4, SHAPE(2, 2), NULL);
  refuse(&bench, of_nibbles, 0, 1, 16, 4, "input 3 has 2 entries in dimension 1, not 3");
  of_nibbles.inputs[3] = bench_tensor(&bench, NORMA_UINT4, SHAPE(6), NULL);
  refuse(&bench, of_nibbles, 0, 1, 16, 4, "input 3 has rank 1, the data 2");
  const value *zeros = bench_tensor(&bench, NORMA_FLOAT8E5M2, SHAPE(2, 3), NULL);
  refuse(&bench, CALL("GatherBlockQuantized", 1, floats, index, scales, zeros), 0, 1, 16, 4, "have no zero points");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(codes_of_their_own_type),
      cmocka_unit_test(codes_packed_in_bytes),
      cmocka_unit_test(ranks_and_empty_tensors),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

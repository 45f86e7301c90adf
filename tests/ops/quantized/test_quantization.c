/* Which scale belongs to which element: runs of quantization_run_at against a walk over all elements. */
#include "ops/quantized/quantization.h"
#include "tests/ops/quantized/quantized_reference.h"

/* Every element is in one run, whose scale is that of its place. */
static void check_runs(const quantization *of, int64_t most) {
  const int64_t count = of->outer * of->count * of->inner;
  for (int64_t first = 0; first < count;) {
    const quantization_run run = quantization_run_at(of, first, most);
    assert_true(run.count >= 1 && run.count <= most && first + run.count <= count);
    for (int64_t i = 0; i < run.count; i++) {
      const int64_t at = first + i, inner = at % of->inner, position = at / of->inner % of->count;
      const int64_t outer = at / of->inner / of->count,
                    blocks = of->block ? (of->count + of->block - 1) / of->block : 0;
      const int64_t expected = of->block ? (outer * blocks + position / of->block) * of->inner + inner : position;
      assert_int_equal(run.scale + (run.steps ? i : 0), expected);
    }
    first += run.count;
  }
}

static void runs_have_the_scales_of_their_places(void **state) {
  uint64_t seed = 7;
  (void)state;
  for (int i = 0; i < 300; i++) {
    quantization of = {.outer = random_int(&seed, 1, 4),
                       .count = random_int(&seed, 1, 9),
                       .inner = random_int(&seed, 1, 5),
                       .block = random_int(&seed, 0, 4)};
    check_runs(&of, random_int(&seed, 1, 30));
  }
}

static void shapes_that_fit(void **state) {
  char message[QUANTIZATION_MESSAGE_SIZE];
  const quantization_attributes axis = {.axis = -1}, block = {.axis = 0, .block_size = 4},
                                single = {.is_per_tensor = true};
  const shape x = SHAPE(6, 3), one = SCALAR, three = SHAPE(3), blocks = SHAPE(2, 3), unknown = SHAPE(DIM_UNKNOWN, 3),
              single_vector = SHAPE(1);
  quantization of;
  (void)state;
  assert_true(quantization_resolve(&axis, &x, &three, &of, message));
  assert_true(of.outer == 6 && of.count == 3 && of.inner == 1 && of.block == 0);
  assert_true(quantization_resolve(&block, &x, &blocks, &of, message));
  assert_true(of.outer == 1 && of.count == 6 && of.inner == 3 && of.block == 4);
  assert_true(quantization_resolve(&single, &x, &one, &of, message));
  assert_true(quantization_resolve(&axis, &unknown, &three, &of, message));
  assert_false(quantization_resolve(&single, &x, &three, &of, message));
  assert_false(quantization_resolve(&block, &x, &three, &of, message));
  assert_false(quantization_resolve(&axis, &x, &blocks, &of, message));
  assert_true(quantization_fits_zero(&three, &three) && quantization_fits_zero(&one, &single_vector));
  assert_false(quantization_fits_zero(&three, &one));
}

static void tables_of_bytes(void **state) {
  const byte_scale from = {NORMA_INT8, 0.5f, 3}, to = {NORMA_UINT8, 0.25f, 100};
  const struct activation relu = {.kind = UNARY_RELU};
  uint8_t table[256];
  (void)state;
  for (int k = 0; driver_kernels(k); k++) {
    byte_table_fill(driver_kernels(k), from, to, &relu, table);
    for (int i = 0; i < 256; i++) {
      const double real = fmax(0, ((double)(int8_t)i - 3) / 2);
      assert_int_equal(table[i], (int)quantized_reference(real * 4, 100, NORMA_UINT8));
    }
  }
  assert_true(byte_scale_equal(from, from));
  assert_false(byte_scale_equal(from, to));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_have_the_scales_of_their_places),
      cmocka_unit_test(shapes_that_fit),
      cmocka_unit_test(tables_of_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

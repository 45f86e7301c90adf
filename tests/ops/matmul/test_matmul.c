/* MatMul against numpy.matmul's definition: vectors, matrices, stacks that are broadcast, every type. */
#include "tests/support/model_builder.h"
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct matmul_case {
  norma_element_type type;
  int a_rank, b_rank;
  int64_t a[5], b[5];
  uint32_t constants;
  struct activation activation;
} matmul_case;

/* A as if of rank 5, with ones in front; a vector gets its missing axis. */
static void expand(const int64_t *dims, int rank, bool is_b, int64_t full[5]) {
  for (int i = 0; i < 5; i++) full[i] = 1;
  if (rank == 1)
    full[is_b ? 3 : 4] = dims[0];
  else
    memcpy(full + 5 - rank, dims, (size_t)rank * sizeof *dims);
}

static void check_elements(const matmul_case *c, const value *y, const double *a_numbers, const double *b_numbers,
                           const char *text) {
  int64_t a[5], b[5], y_dims[5], index[5];
  expand(c->a, c->a_rank, false, a);
  expand(c->b, c->b_rank, true, b);
  int64_t count = 1, k = a[4];
  for (int i = 0; i < 5; i++) y_dims[i] = i == 3 ? a[3] : i == 4 ? b[4] : a[i] == 1 ? b[i] : a[i];
  for (int i = 0; i < 5; i++) count *= y_dims[i];
  assert_int_equal(count, norma_tensor_count(&y->tensor));
  norma_element_type inner = c->type == NORMA_DOUBLE ? NORMA_DOUBLE : NORMA_FLOAT;
  bool is_integer = (TYPE_BIT(c->type) & TYPES_INTEGER) != 0;
  for (int64_t e = 0; e < count; e++) {
    int64_t rest = e, a_at = 0, b_at = 0;
    for (int i = 4; i >= 0; i--) {
      index[i] = rest % y_dims[i];
      rest /= y_dims[i];
    }
    for (int i = 0; i < 3; i++) {
      a_at = a_at * a[i] + (a[i] == 1 ? 0 : index[i]);
      b_at = b_at * b[i] + (b[i] == 1 ? 0 : index[i]);
    }
    double sum = 0, magnitude = 0;
    for (int64_t p = 0; p < k; p++) {
      double term = a_numbers[(a_at * a[3] + index[3]) * k + p] * b_numbers[(b_at * k + p) * b[4] + index[4]];
      sum += term;
      magnitude += fabs(term);
    }
    if (c->activation.kind == UNARY_RELU) sum = fmax(sum, 0);
    double got = driver_element(y, e);
    double allowed =
        rounding_error(inner) * (2 * sqrt((double)k) + 4) * magnitude + 2 * rounding_error(c->type) * fabs(sum);
    if (is_integer) allowed = 0;
    if (!(fabs(got - sum) <= allowed)) fail_msg("%s: element %d: expected %.9g, got %.9g", text, (int)e, sum, got);
  }
}

static void check_case(const matmul_case *c, const struct kernel_table *kernels, uint64_t *seed) {
  char text[300], a_text[100], b_text[100];
  driver driver;
  driver_init(&driver);
  value a = random_tensor(seed, c->type, c->a_rank, c->a), b = random_tensor(seed, c->type, c->b_rank, c->b),
        first = {0};
  shape a_shape = shape_of_tensor(&a.tensor), b_shape = shape_of_tensor(&b.tensor);
  snprintf(text, sizeof text, "%s %s %s times %s, constants %u", kernels->name, norma_element_type_name(c->type),
           shape_text(&a_shape, a_text, sizeof a_text), shape_text(&b_shape, b_text, sizeof b_text), c->constants);
  double *a_numbers = tensor_doubles(&a), *b_numbers = tensor_doubles(&b);
  driver_call call = {.op_type = "MatMul",
                      .opset = 13,
                      .inputs = {&a, &b},
                      .input_count = 2,
                      .constants = c->constants,
                      .output_count = 1,
                      .activation = c->activation,
                      .kernels = kernels};
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s: %s", text, driver.error.message);
  check_elements(c, &driver.outputs[0], a_numbers, b_numbers, text);
  assert_int_equal(value_copy(&driver.memory, &first, &driver.outputs[0], NULL), NORMA_OK);
  call.workers = 3;
  call.constants ^= INPUT(0) | INPUT(1);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  if (!same_tensor(&first.tensor, &driver.outputs[0].tensor)) fail_msg("%s: workers or packing matter", text);
  value_clear(&first);
  free(a_numbers);
  free(b_numbers);
  random_tensor_free(&a);
  random_tensor_free(&b);
  driver_finish(&driver);
}

static matmul_case random_case(uint64_t *seed, norma_element_type type) {
  matmul_case c = {.type = type};
  int64_t k = random_of(seed, 0, 1, 3, 8, 17, 64, 300);
  c.a_rank = (int)random_int(seed, 1, 5);
  c.b_rank = (int)random_int(seed, 1, 5);
  int64_t batch[3] = {random_of(seed, 1, 2), random_of(seed, 1, 2, 3), random_of(seed, 0, 1, 2, 3, 3)};
  for (int i = 0; i < 5; i++) {
    int from_end = 5 - i; /* axis i of rank 5 */
    int64_t a_size = i < 3 ? (random_int(seed, 0, 2) ? batch[i] : 1) : i == 3 ? random_of(seed, 1, 2, 7, 15, 20) : k;
    int64_t b_size = i < 3 ? (random_int(seed, 0, 2) ? batch[i] : 1) : i == 3 ? k : random_of(seed, 1, 2, 9, 16, 33);
    if (from_end <= c.a_rank) c.a[c.a_rank - from_end] = a_size;
    if (from_end <= c.b_rank) c.b[c.b_rank - from_end] = b_size;
  }
  if (c.b_rank == 1) c.b[0] = k;
  c.constants = (uint32_t)random_of(seed, 0, INPUT(1), INPUT(0));
  if (type == NORMA_FLOAT && random_int(seed, 0, 2) == 0) c.activation.kind = UNARY_RELU;
  return c;
}

static void every_type_matches_the_definition(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16,
                                             NORMA_INT32, NORMA_INT64,  NORMA_UINT32,  NORMA_UINT64};
  const struct kernel_table *kernels;
  (void)state;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
      uint64_t seed = 71 + i;
      for (int j = 0; j < (i == 0 ? 200 : 50); j++) {
        matmul_case c = random_case(&seed, types[i]);
        check_case(&c, kernels, &seed);
      }
    }
  }
}

static void integers_wrap(void **state) {
  static const int64_t dims[] = {1, 1};
  static const double large[] = {0x1p31 - 1};
  driver driver;
  (void)state;
  driver_init(&driver);
  value a = driver_tensor(&driver, NORMA_INT32, 2, dims, large);
  driver_call call = {.op_type = "MatMul", .opset = 9, .inputs = {&a, &a}, .input_count = 2, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_int_equal(tensor_get_int64(&driver.outputs[0].tensor, 0), 1);
  value_clear(&a);
  driver_finish(&driver);
}

static void what_does_not_fit_is_refused(void **state) {
  static const struct {
    int a_rank, b_rank;
    int64_t a[3], b[3];
  } cases[] = {{2, 2, {2, 3}, {2, 3}}, {0, 2, {0}, {1, 1}}, {3, 3, {2, 2, 3}, {3, 3, 2}}, {1, 2, {3}, {2, 3}}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    value a = driver_floats(&driver, cases[i].a_rank, cases[i].a, NULL);
    value b = driver_floats(&driver, cases[i].b_rank, cases[i].b, NULL);
    driver_call call = {.op_type = "MatMul", .opset = 13, .inputs = {&a, &b}, .input_count = 2, .output_count = 1};
    norma_status status = driver_run(&driver, &call);
    if (status != NORMA_ERROR_INPUT && status != NORMA_ERROR_INVALID_MODEL) fail_msg("case %d was accepted", (int)i);
    value_clear(&a);
    value_clear(&b);
    driver_finish(&driver);
  }
}

/* One element of y = a * b for a of 2 x 3 x 4 and b of batch x 4 x columns. */
static float expected_element(const float *a, const float *b, int64_t batch, int64_t columns, int64_t index) {
  int64_t column = index % columns, row = index / columns % 3, matrix = index / columns / 3;
  float sum = 0;
  for (int64_t p = 0; p < 4; p++)
    sum += a[(matrix * 3 + row) * 4 + p] * b[((batch == 1 ? 0 : matrix) * 4 + p) * columns + column];
  return sum;
}

/* A constant is packed as the shape of the other operand wants it, and one model may see several shapes. */
static void one_constant_is_packed_for_several_shapes(void **state) {
  static const int64_t a_dims[] = {2, 3, 4}, b_dims[] = {-1, 4, -1};
  static const int64_t batches[] = {1, 2, 1, 2}, widths[] = {5, 5, 1, 1};
  float a[24], b[40];
  norma_error error;
  norma_model *model = NULL;
  norma_session *session = NULL;
  size_t size;
  (void)state;
  for (int i = 0; i < 24; i++) a[i] = (float)(i % 7 - 3);
  for (int i = 0; i < 40; i++) b[i] = (float)(i % 5 - 2);
  model_builder *builder = builder_create(13);
  builder_floats(builder, "a", 3, a_dims, a);
  builder_input(builder, "b", NORMA_FLOAT, 3, b_dims);
  builder_node(builder, "MatMul", "a b", "y");
  builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
  const void *bytes = builder_bytes(builder, &size);
  if (norma_model_load_memory(bytes, size, NULL, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  for (int i = 0; i < 4; i++) {
    norma_tensor input;
    const int64_t dims[] = {batches[i], 4, widths[i]};
    assert_int_equal(norma_tensor_init(&input, NORMA_FLOAT, 3, dims, b), NORMA_OK);
    assert_int_equal(norma_session_set_input(session, "b", &input, &error), NORMA_OK);
    if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
    const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
    for (int64_t e = 0; e < norma_tensor_count(y); e++) {
      float wanted = expected_element(a, b, batches[i], widths[i], e), got = ((const float *)y->data)[e];
      if (wanted != got) fail_msg("shape %d, element %d: expected %g, got %g", i, (int)e, (double)wanted, (double)got);
    }
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_matches_the_definition),
      cmocka_unit_test(one_constant_is_packed_for_several_shapes),
      cmocka_unit_test(integers_wrap),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

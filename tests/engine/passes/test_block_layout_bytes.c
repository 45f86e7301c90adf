/* Quantised networks in channel blocks: the bytes of the model as exported, for every table, number of threads and
 * batch, and no reorder between the layers. */
#include "tests/support/model_builder.h"
#include "tests/support/random_tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static uint64_t byte_seed = 20251128;

/* ---------------------------------------------------------------------------------------------------------- running */

typedef struct byte_result {
  value y;
  int reorders;
} byte_result;

static byte_result run_bytes(model_builder *b, const char *what, const char *table, norma_optimization level,
                             int threads, const norma_tensor *x) {
  norma_error error = {.message = ""};
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = threads, .kernels = table};
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) fail_msg("%s: %s", what, error.message);
  const norma_load_options load = {.struct_size = sizeof load, .runtime = runtime, .optimization = level};
  if (norma_model_load_memory(bytes, size, &load, &model, &error) != NORMA_OK) fail_msg("%s: %s", what, error.message);
  const norma_session_options profiled = {.struct_size = sizeof profiled, .profile = true};
  assert_int_equal(norma_session_create(model, &profiled, &session, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", x, &error), NORMA_OK);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s: %s", what, error.message);
  const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
  byte_result result = {.y = {.kind = NORMA_VALUE_TENSOR, .tensor = *y}};
  result.y.tensor.data = malloc(y->size_bytes + 1);
  assert_non_null(result.y.tensor.data);
  if (y->size_bytes) memcpy(result.y.tensor.data, y->data, y->size_bytes);
  for (size_t i = 0; i < norma_session_profile_count(session); i++) {
    norma_profile_entry entry;
    assert_int_equal(norma_session_profile(session, i, &entry), NORMA_OK);
    result.reorders += strcmp(entry.op_type, "BlockChannels") == 0 || strcmp(entry.op_type, "UnblockChannels") == 0;
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return result;
}

/* With at most `reorders`; destroys the builder. The first sample alone has the same bytes. */
static void check_bytes(model_builder *b, const char *what, norma_element_type type, const int64_t dims[4],
                        int reorders) {
  const struct kernel_table *kernels;
  value x = random_tensor(&byte_seed, type, 4, dims);
  uint8_t *bytes = x.tensor.data;
  for (size_t i = 0; i < x.tensor.size_bytes; i++) bytes[i] = (uint8_t)random_int(&byte_seed, 0, 255);
  byte_result expected = run_bytes(b, what, NULL, NORMA_OPTIMIZE_NONE, 1, &x.tensor);
  for (size_t t = 0; (kernels = kernel_table_at(t)); t++) {
    for (int threads = 1; threads <= 3; threads++) {
      byte_result found = run_bytes(b, what, kernels->name, NORMA_OPTIMIZE_FULL, threads, &x.tensor);
      if (!same_tensor(&expected.y.tensor, &found.y.tensor))
        fail_msg("%s on %s with %d threads: other bytes", what, kernels->name, threads);
      if (found.reorders > reorders) fail_msg("%s: %d reorders", what, found.reorders);
      random_tensor_free(&found.y);
    }
    norma_tensor sample = x.tensor;
    sample.dims[0] = 1;
    sample.size_bytes /= (size_t)dims[0];
    byte_result alone = run_bytes(b, what, kernels->name, NORMA_OPTIMIZE_FULL, 2, &sample);
    assert_memory_equal(alone.y.tensor.data, expected.y.tensor.data, alone.y.tensor.size_bytes);
    random_tensor_free(&alone.y);
  }
  random_tensor_free(&expected.y);
  random_tensor_free(&x);
  builder_destroy(b);
}

/* --------------------------------------------------------------------------------------------------------- building */

static void add_bytes(model_builder *b, const char *name, norma_element_type type, int rank, const int64_t *dims) {
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= dims[i];
  uint8_t *bytes = malloc((size_t)count);
  assert_non_null(bytes);
  for (int64_t i = 0; i < count; i++) bytes[i] = (uint8_t)random_int(&byte_seed, 0, 255);
  builder_initializer(b, name, type, rank, dims, bytes);
  free(bytes);
}

/* Scales s1 .. s3 and zero points z1 .. z3 of `type`. */
static model_builder *start(norma_element_type type, int64_t channels, int64_t height, int64_t width) {
  model_builder *b = builder_create(18);
  builder_import(b, "com.microsoft", 1);
  builder_input(b, "x", type, 4, DIMS(-1, channels, height, width));
  for (int i = 1; i <= 3; i++) {
    char name[8];
    const float scale = 0.01f * (float)i;
    snprintf(name, sizeof name, "s%d", i);
    builder_floats(b, name, 0, NULL, &scale);
    snprintf(name, sizeof name, "z%d", i);
    add_bytes(b, name, type, 0, NULL);
  }
  const int8_t none = 0;
  const float unit = 0.001f;
  builder_initializer(b, "wz", NORMA_INT8, 0, NULL, &none);
  builder_floats(b, "ws", 0, NULL, &unit);
  return b;
}

/* y of scale 2 from x of scale 1, padded to keep the size. */
static void add_conv(model_builder *b, const char *x, const char *y, int64_t channels, int64_t outputs, int64_t kernel,
                     int64_t group) {
  char weights[40], inputs[100];
  snprintf(weights, sizeof weights, "%s.w", y);
  snprintf(inputs, sizeof inputs, "%s s1 z1 %s ws wz s2 z2", x, weights);
  add_bytes(b, weights, NORMA_INT8, 4, DIMS(outputs, channels / group, kernel, kernel));
  node *conv = builder_node(b, "QLinearConv", inputs, y);
  builder_int(conv, "group", group);
  builder_ints(conv, "pads", 4, DIMS(kernel / 2, kernel / 2, kernel / 2, kernel / 2));
}

static void stretches_of_convolutions(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    const norma_element_type type = i ? NORMA_INT8 : NORMA_UINT8;
    model_builder *b = start(type, 3, 17, 19);
    add_conv(b, "x", "a", 3, 24, 3, 1);
    add_conv(b, "a", "b", 24, 24, 3, 24);
    add_conv(b, "b", "c", 24, 40, 1, 1);
    add_conv(b, "c", "y", 40, 20, 5, 1);
    builder_output(b, "y", type, -1, NULL);
    check_bytes(b, "convolutions", type, DIMS(2, 3, 17, 19), 1);
  }
}

/* Everything that follows blocks of bytes. */
static void followers(void **state) {
  static const char *const names[] = {"sum",   "product", "sigmoid", "maximum", "average",
                                      "means", "concat",  "pad",     "slice",   "dequantized"};
  (void)state;
  for (int i = 0; i < 20; i++) {
    const norma_element_type type = i % 2 ? NORMA_INT8 : NORMA_UINT8;
    model_builder *b = start(type, 20, 9, 11);
    add_conv(b, "x", "a", 20, 36, 1, 1);
    add_conv(b, "x", "c", 20, 36, 3, 1);
    switch (i / 2) {
    case 0:
      builder_named_node(b, "", "com.microsoft", "QLinearAdd", "a s2 z2 c s3 z3 s1 z1", "d");
      break;
    case 1:
      builder_named_node(b, "", "com.microsoft", "QLinearMul", "a s2 z2 c s3 z3 s1 z1", "d");
      break;
    case 2:
      builder_named_node(b, "", "com.microsoft", "QLinearSigmoid", "a s2 z2 s1 z1", "d");
      break;
    case 3: {
      node *pool = builder_node(b, "MaxPool", "a", "d");
      builder_ints(pool, "kernel_shape", 2, DIMS(3, 2));
      builder_ints(pool, "strides", 2, DIMS(2, 1));
      builder_ints(pool, "pads", 4, DIMS(1, 1, 1, 0));
      break;
    }
    case 4: {
      node *pool = builder_named_node(b, "", "com.microsoft", "QLinearAveragePool", "a s2 z2 s1 z1", "d");
      builder_ints(pool, "kernel_shape", 2, DIMS(2, 3));
      builder_ints(pool, "strides", 2, DIMS(1, 2));
      builder_ints(pool, "pads", 4, DIMS(1, 1, 0, 1));
      break;
    }
    case 5:
      builder_named_node(b, "", "com.microsoft", "QLinearGlobalAveragePool", "a s2 z2 s1 z1", "d");
      break;
    case 6:
      builder_int(builder_node(b, "Concat", "a c a", "d"), "axis", 1);
      break;
    case 7:
      builder_ints64(b, "pads", 1, DIMS(8), DIMS(0, 0, 1, 2, 0, 0, 3, 4));
      builder_node(b, "Pad", "a pads z1", "d");
      break;
    case 8:
      builder_ints64(b, "from", 1, DIMS(2), DIMS(16, 1));
      builder_ints64(b, "to", 1, DIMS(2), DIMS(36, 7));
      builder_ints64(b, "axes", 1, DIMS(2), DIMS(1, 3));
      builder_node(b, "Slice", "a from to axes", "d");
      break;
    default:
      builder_node(b, "DequantizeLinear", "a s2 z2", "e");
      builder_node(b, "Relu", "e", "r");
      builder_node(b, "QuantizeLinear", "r s1 z1", "d");
      break;
    }
    const int64_t channels = i / 2 == 6 ? 108 : i / 2 == 8 ? 20 : 36;
    add_conv(b, "d", "y", channels, 18, 1, 1);
    builder_output(b, "y", type, -1, NULL);
    check_bytes(b, names[i / 2], type, DIMS(2, 20, 9, 11), i / 2 == 9 ? 4 : 2);
  }
}

/* Weights that are not centred, channels last and parameters that the model computes stay in the plain layout. */
static void what_stays_plain(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = start(NORMA_UINT8, 20, 9, 11);
    const uint8_t centre = 117;
    builder_initializer(b, "c", NORMA_UINT8, 0, NULL, &centre);
    add_bytes(b, "w", NORMA_UINT8, 4, DIMS(24, 20, 1, 1));
    if (i == 0) builder_node(b, "QLinearConv", "x s1 z1 w ws c s2 z2", "y");
    if (i == 1) {
      builder_node(b, "ReduceMax", "x", "m");
      builder_ints64(b, "one", 1, DIMS(1), DIMS(1));
      builder_node(b, "Reshape", "m one", "z");
      builder_node(b, "QLinearConv", "x s1 z w ws c s2 z2", "y");
    }
    builder_output(b, "y", NORMA_UINT8, -1, NULL);
    check_bytes(b, "plain", NORMA_UINT8, DIMS(1, 20, 9, 11), i == 0 ? 2 : 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stretches_of_convolutions),
      cmocka_unit_test(followers),
      cmocka_unit_test(what_stays_plain),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

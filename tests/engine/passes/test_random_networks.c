/* Random networks give the same answers as exported and rewritten, on every kernel table, for ordinary numbers and for
 * NaN, infinities, denormals and huge ones.
 *
 *     NORMA_NETWORKS=FIRST:COUNT   other seeds than the usual ones
 */
#include "tests/support/channel_error.h"
#include "tests/support/random_network.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NETWORKS = 120, NODES = 7, MOST_OUTPUTS = 70, MARGIN = 2 };

/* Over the largest magnitude of a channel. */
#define LARGEST_ERROR       2e-5
#define LARGEST_EXACT_ERROR 5e-6
#define CHANNEL_FLOOR       0x1p-5 /* means of many channels, and the like, cancel */

typedef enum numbers {
  NUMBERS_PLAIN,
  NUMBERS_WITH_NAN,
  NUMBERS_WITH_INFINITY,
  NUMBERS_WITH_DENORMALS,
  NUMBERS_ALL_DENORMAL,
  NUMBERS_COUNT
} numbers;

static const char *const number_names[] = {"plain numbers", "a NaN", "an infinity", "some denormals",
                                           "denormals alone"};

typedef struct run_options {
  const char *table;
  norma_optimization level;
  bool exact, late;
  int threads;
} run_options;

typedef struct results {
  size_t count;
  char names[MOST_OUTPUTS][32];
  value tensors[MOST_OUTPUTS]; /* data by malloc */
} results;

static void check(norma_status status, const norma_error *error, const random_network *network) {
  if (status != NORMA_OK) fail_msg("%s\n%s", error->message, network->text);
}

/* ----------------------------------------------------------------------------------------------------------- inputs */

static void spoil(uint64_t *seed, value *x, numbers numbers) {
  float *data = x->tensor.data;
  int64_t count = norma_tensor_count(&x->tensor);
  if (count == 0) return;
  switch (numbers) {
  case NUMBERS_WITH_NAN:
    data[random_int(seed, 0, count - 1)] = NAN;
    break;
  case NUMBERS_WITH_INFINITY:
    data[random_int(seed, 0, count - 1)] = random_int(seed, 0, 1) ? INFINITY : -INFINITY;
    break;
  case NUMBERS_WITH_DENORMALS:
    for (int64_t i = 0; i < count; i += 3) data[i] *= 1e-39f;
    break;
  case NUMBERS_ALL_DENORMAL:
    for (int64_t i = 0; i < count; i++) data[i] *= 1e-38f;
    break;
  default:
    break;
  }
}

/* x inside a margin of NaN, which the late slice cuts off. */
static value with_margin(const value *x) {
  const int64_t *dims = x->tensor.dims;
  value wide = {.kind = NORMA_VALUE_TENSOR};
  int64_t shape[4] = {dims[0], dims[1], dims[2] + 2 * MARGIN, dims[3] + 2 * MARGIN};
  norma_tensor_init(&wide.tensor, NORMA_FLOAT, 4, shape, NULL);
  float *data = malloc(wide.tensor.size_bytes + 1);
  assert_non_null(data);
  for (size_t i = 0; i < wide.tensor.size_bytes / sizeof *data; i++) data[i] = NAN;
  for (int64_t plane = 0; plane < dims[0] * dims[1]; plane++) {
    for (int64_t row = 0; row < dims[2]; row++) {
      memcpy(data + (plane * shape[2] + row + MARGIN) * shape[3] + MARGIN,
             (float *)x->tensor.data + (plane * dims[2] + row) * dims[3], (size_t)dims[3] * sizeof *data);
    }
  }
  wide.tensor.data = data;
  return wide;
}

/* ---------------------------------------------------------------------------------------------------------- running */

static void copy_outputs(const norma_model *model, const norma_session *session, results *results) {
  results->count = norma_model_output_count(model);
  assert_true(results->count <= MOST_OUTPUTS);
  for (size_t i = 0; i < results->count; i++) {
    norma_value_info info;
    const norma_tensor *tensor = norma_value_tensor(norma_session_output(session, i));
    assert_int_equal(norma_model_output(model, i, &info), NORMA_OK);
    snprintf(results->names[i], sizeof results->names[i], "%s", info.name);
    results->tensors[i] = (value){.kind = NORMA_VALUE_TENSOR, .tensor = *tensor};
    results->tensors[i].tensor.data = malloc(tensor->size_bytes + 1);
    assert_non_null(results->tensors[i].tensor.data);
    if (tensor->size_bytes) memcpy(results->tensors[i].tensor.data, tensor->data, tensor->size_bytes);
  }
}

static void free_results(results *results) {
  for (size_t i = 0; i < results->count; i++) random_tensor_free(&results->tensors[i]);
  results->count = 0;
}

static void run(random_network *network, const run_options *with, const value *x, results *results) {
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
  size_t size;
  const void *bytes = builder_bytes(network->builder, &size);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = with->threads, .kernels = with->table};
  norma_load_options load = {.struct_size = sizeof load};
  load.denormals = NORMA_DENORMALS_KEEP;
  check(norma_runtime_create(&options, &runtime, &error), &error, network);
  load.runtime = runtime;
  load.optimization = with->level;
  load.exact = with->exact;
  check(norma_model_load_memory(bytes, size, &load, &model, &error), &error, network);
  check(norma_session_create(model, NULL, &session, &error), &error, network);
  int64_t limits[2][2] = {{MARGIN, MARGIN}, {MARGIN + network->input[2], MARGIN + network->input[3]}}, two = 2;
  value wide = {.kind = NORMA_VALUE_NONE};
  if (network->late) {
    wide = with_margin(x);
    for (int i = 0; i < 2; i++) {
      norma_tensor tensor;
      norma_tensor_init(&tensor, NORMA_INT64, 1, &two, limits[i]);
      check(norma_session_set_input(session, i ? "ends" : "starts", &tensor, &error), &error, network);
    }
  }
  check(norma_session_set_input(session, "x", network->late ? &wide.tensor : &x->tensor, &error), &error, network);
  check(norma_session_run(session, &error), &error, network);
  copy_outputs(model, session, results);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  if (network->late) random_tensor_free(&wide);
}

/* -------------------------------------------------------------------------------------------------------- comparing */

static void compare(const random_network *network, const run_options *with, numbers numbers, const results *expected,
                    const results *found, double bound) {
  assert_int_equal(expected->count, found->count);
  for (size_t o = 0; o < expected->count; o++) {
    char what[sizeof network->text + 200];
    snprintf(what, sizeof what, "%s%s, level %d%s%s, %s: output %s", network->text, with->table,
             with->level == NORMA_OPTIMIZE_FULL ? 2 : 0, with->exact ? " exact" : "", with->late ? " late" : "",
             number_names[numbers], expected->names[o]);
    assert_channels_near(what, &expected->tensors[o].tensor, &found->tensors[o].tensor,
                         (channel_bound){bound, CHANNEL_FLOOR});
  }
}

static void compare_bits(const random_network *network, const run_options *with, const results *expected,
                         const results *found) {
  for (size_t o = 0; o < expected->count; o++) {
    if (same_tensor(&expected->tensors[o].tensor, &found->tensors[o].tensor)) continue;
    fail_msg("%s, level 2%s, %d threads: output %s has other bits\n%s", with->table, with->late ? " late" : "",
             with->threads, expected->names[o], network->text);
  }
}

/* ------------------------------------------------------------------------------------------------------------ cases */

static void check_on_table(random_network *network, random_network *late, const char *table, numbers numbers,
                           const value *x) {
  run_options with = {.table = table, .level = NORMA_OPTIMIZE_NONE, .threads = 1};
  results expected, found, again;
  run(network, &with, x, &expected);
  with.level = NORMA_OPTIMIZE_FULL;
  run(network, &with, x, &found);
  compare(network, &with, numbers, &expected, &found, LARGEST_ERROR);
  with.threads = 3;
  run(network, &with, x, &again);
  compare_bits(network, &with, &found, &again);
  free_results(&again);
  with.late = true;
  run(late, &with, x, &again);
  compare(network, &with, numbers, &expected, &again, LARGEST_ERROR);
  free_results(&again);
  free_results(&found);
  with.late = false;
  with.exact = true;
  run(network, &with, x, &found);
  compare(network, &with, numbers, &expected, &found, LARGEST_EXACT_ERROR);
  free_results(&found);
  free_results(&expected);
}

static void check_network(uint64_t seed, int nodes, numbers numbers) {
  random_network network, late;
  random_network_make(&network, seed, nodes, false);
  random_network_make(&late, seed, nodes, true);
  uint64_t state = seed + 1;
  network.input[0] = late.input[0] = seed % 8 == 7 ? 0 : 1 + (int64_t)(seed % 2);
  value x = random_tensor(&state, NORMA_FLOAT, 4, network.input);
  spoil(&state, &x, numbers);
  const struct kernel_table *kernels;
  for (size_t i = 0; (kernels = kernel_table_at(i)); i++) check_on_table(&network, &late, kernels->name, numbers, &x);
  random_tensor_free(&x);
  random_network_free(&late);
  random_network_free(&network);
}

static void check_networks(int nodes, int divisor, numbers numbers) {
  const char *asked = getenv("NORMA_NETWORKS");
  unsigned long long first = 0, count = (unsigned long long)(NETWORKS / divisor);
  if (asked) assert_int_equal(sscanf(asked, "%llu:%llu", &first, &count), 2);
  for (unsigned long long seed = first; seed < first + count; seed++) {
    if (asked) fprintf(stderr, "\rseed %llu ", seed);
    check_network(seed, nodes, numbers);
  }
}

static void networks_of_one_node(void **state) {
  (void)state;
  check_networks(1, 1, NUMBERS_PLAIN);
}

static void networks_of_several_nodes(void **state) {
  (void)state;
  check_networks(NODES, 1, NUMBERS_PLAIN);
}

static void networks_that_see_a_nan(void **state) {
  (void)state;
  check_networks(3, 2, NUMBERS_WITH_NAN);
}

static void networks_that_see_an_infinity(void **state) {
  (void)state;
  check_networks(3, 2, NUMBERS_WITH_INFINITY);
}

static void networks_that_see_some_denormals(void **state) {
  (void)state;
  check_networks(3, 2, NUMBERS_WITH_DENORMALS);
}

static void networks_that_see_nothing_but_denormals(void **state) {
  (void)state;
  check_networks(3, 2, NUMBERS_ALL_DENORMAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(networks_of_one_node),
      cmocka_unit_test(networks_of_several_nodes),
      cmocka_unit_test(networks_that_see_a_nan),
      cmocka_unit_test(networks_that_see_an_infinity),
      cmocka_unit_test(networks_that_see_some_denormals),
      cmocka_unit_test(networks_that_see_nothing_but_denormals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

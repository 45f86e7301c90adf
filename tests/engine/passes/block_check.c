#include "tests/engine/passes/block_check.h"

#include "tests/support/channel_error.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Winograd's algorithm subtracts numbers that are larger than its results. */
static const channel_bound fast_bound = {2e-5, 0x1p-5}, exact_bound = {3e-6, 0x1p-5};

/* ---------------------------------------------------------------------------------------------------------- running */

typedef struct block_run {
  const char *table;
  norma_optimization level;
  bool exact;
  int threads;
} block_run;

typedef struct block_result {
  value y; /* data by malloc */
  int reorders;
} block_result;

static void block_require(norma_status status, const norma_error *error, const block_case *c) {
  if (status != NORMA_OK) fail_msg("%s: %s", c->what, error->message);
}

static void copy_result(const norma_session *session, block_result *result) {
  const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
  result->y = (value){.kind = NORMA_VALUE_TENSOR, .tensor = *y};
  result->y.tensor.data = malloc(y->size_bytes + 1);
  assert_non_null(result->y.tensor.data);
  if (y->size_bytes) memcpy(result->y.tensor.data, y->data, y->size_bytes);
}

static int count_reorders(const norma_session *session) {
  static const char *const types[] = {"BlockChannels", "UnblockChannels", "ChannelShuffle", "Transpose"};
  int count = 0;
  for (size_t i = 0; i < norma_session_profile_count(session); i++) {
    norma_profile_entry entry;
    assert_int_equal(norma_session_profile(session, i, &entry), NORMA_OK);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) count += strcmp(entry.op_type, types[t]) == 0;
  }
  return count;
}

static block_result run_blocks(model_builder *b, const block_case *c, const block_run *with, const norma_tensor *x) {
  norma_error error;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = with->threads, .kernels = with->table};
  block_require(norma_runtime_create(&options, &runtime, &error), &error, c);
  norma_load_options load = {.struct_size = sizeof load, .runtime = runtime, .optimization = with->level};
  load.denormals = NORMA_DENORMALS_KEEP;
  load.exact = with->exact;
  block_require(norma_model_load_memory(bytes, size, &load, &model, &error), &error, c);
  norma_session_options session_options = {.struct_size = sizeof session_options, .profile = true};
  block_require(norma_session_create(model, &session_options, &session, &error), &error, c);
  block_require(norma_session_set_input(session, "x", x, &error), &error, c);
  block_require(norma_session_run(session, &error), &error, c);
  block_result result = {.reorders = count_reorders(session)};
  copy_result(session, &result);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return result;
}

static void check_bits(model_builder *b, const block_case *c, block_run with, const norma_tensor *x,
                       const block_result *first) {
  static const int threads[] = {2, 3, 7};
  for (int t = 0; t < 3; t++) {
    with.threads = threads[t];
    block_result again = run_blocks(b, c, &with, x);
    if (!same_tensor(&first->y.tensor, &again.y.tensor)) {
      fail_msg("%s on %s: other bits with %d threads", c->what, with.table, with.threads);
    }
    random_tensor_free(&again.y);
  }
  if (!c->any_batch || x->dims[0] < 2) return;
  norma_tensor sample = *x;
  sample.dims[0] = 1;
  sample.size_bytes = x->size_bytes / (size_t)x->dims[0];
  block_result alone = run_blocks(b, c, &with, &sample);
  if (memcmp(first->y.tensor.data, alone.y.tensor.data, alone.y.tensor.size_bytes) != 0) {
    fail_msg("%s on %s: the first sample has other bits alone", c->what, with.table);
  }
  random_tensor_free(&alone.y);
}

static void check_blocks_on(model_builder *b, const block_case *c, const char *table, const norma_tensor *x) {
  char what[300];
  block_run with = {.table = table, .level = NORMA_OPTIMIZE_NONE, .threads = 1};
  block_result plain = run_blocks(b, c, &with, x);
  with.level = NORMA_OPTIMIZE_FULL;
  block_result blocked = run_blocks(b, c, &with, x);
  snprintf(what, sizeof what, "%s on %s", c->what, table);
  assert_channels_near(what, &plain.y.tensor, &blocked.y.tensor, fast_bound);
  if (c->reorders >= 0 && blocked.reorders > c->reorders) fail_msg("%s: %d reorders", what, blocked.reorders);
  check_bits(b, c, with, x, &blocked);
  with.exact = true;
  block_result exact = run_blocks(b, c, &with, x);
  snprintf(what, sizeof what, "%s on %s, exact", c->what, table);
  assert_channels_near(what, &plain.y.tensor, &exact.y.tensor, exact_bound);
  random_tensor_free(&plain.y);
  random_tensor_free(&blocked.y);
  random_tensor_free(&exact.y);
}

void check_blocks(model_builder *b, const block_case *c) {
  norma_tensor x;
  const int rank = c->input[3] ? 4 : 3;
  float *numbers = block_numbers(dims_product(c->input, 0, rank));
  assert_int_equal(norma_tensor_init(&x, NORMA_FLOAT, rank, c->input, numbers), NORMA_OK);
  const struct kernel_table *kernels;
  for (size_t i = 0; (kernels = kernel_table_at(i)); i++) check_blocks_on(b, c, kernels->name, &x);
  free(numbers);
  builder_destroy(b);
}

/* --------------------------------------------------------------------------------------------------------- building */

static uint64_t block_seed = 20231105;

float *block_numbers(int64_t count) {
  float *numbers = malloc((size_t)count * sizeof *numbers + 1);
  assert_non_null(numbers);
  for (int64_t i = 0; i < count; i++) numbers[i] = (float)random_int(&block_seed, -(1 << 20), 1 << 20) * 0x1p-20f;
  return numbers;
}

int64_t block_random(int64_t low, int64_t high) {
  return random_int(&block_seed, low, high);
}

void block_constant(model_builder *b, const char *name, int rank, const int64_t *dims, float scale) {
  const int64_t count = dims_product(dims, 0, rank);
  float *numbers = block_numbers(count);
  for (int64_t i = 0; i < count; i++) numbers[i] *= scale;
  builder_floats(b, name, rank, dims, numbers);
  free(numbers);
}

static int64_t or_one(int64_t number) {
  return number ? number : 1;
}

void block_conv(model_builder *b, const char *x, const char *y, block_conv_form form) {
  const int64_t group = or_one(form.group), kernel = or_one(form.kernel), dilation = or_one(form.dilation);
  const int64_t stride = or_one(form.stride), pad = dilation * (kernel - 1) / 2;
  const int64_t dims[4] = {form.outputs, form.channels / group, kernel, kernel};
  const size_t axes = form.is_line ? 1 : 2;
  char weights[40], bias[40], inputs[140];
  snprintf(weights, sizeof weights, "%s.w", y);
  snprintf(bias, sizeof bias, "%s.b", y);
  snprintf(inputs, sizeof inputs, "%s %s %s", x, weights, form.without_bias ? "" : bias);
  block_constant(b, weights, form.is_line ? 3 : 4, dims,
                 1.0f / sqrtf((float)(dims[1] * kernel * (form.is_line ? 1 : kernel))));
  if (!form.without_bias) block_constant(b, bias, 1, &form.outputs, 1);
  node *conv = builder_node(b, "Conv", inputs, y);
  builder_int(conv, "group", group);
  builder_ints(conv, "strides", axes, (int64_t[]){stride, stride});
  builder_ints(conv, "dilations", axes, (int64_t[]){dilation, dilation});
  builder_ints(conv, "pads", 2 * axes, (int64_t[]){pad, pad, pad, pad});
}

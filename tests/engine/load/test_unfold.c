/* Folds into weights that were unread, taken back when the weights turn out to leave the range of float: the results
 * are those of -O 0, for every layer that takes such factors, whatever else its store does. */
#include "engine/load/unfold.h"

#include "engine/execute/runtime.h"
#include "tests/support/built_model.h"
#include "tests/support/channel_error.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define LOST      3 /* the channel whose factor takes its weights out of the range */

/* Channels have many elements, of which some are large: each is held to its own magnitude, which differ by many orders.
 */
static const channel_bound bound = {2e-5, 0};

typedef struct layer_form {
  const char *what;
  int rank;
  int64_t x[5], weights[5];
  int64_t group; /* 0: Gemm with transB */
  bool plain;    /* without channel blocks */
} layer_form;

/* All have weights of 64 KiB at least, which stay unread until they are packed. */
static const layer_form forms[] = {
    {"Conv in blocks", 4, {2, 64, 7, 8}, {64, 64, 3, 3}, 1, false},
    {"Conv in blocks, the last of which is not full", 4, {2, 40, 7, 8}, {52, 40, 3, 3}, 1, false},
    {"Conv of one pixel in blocks", 4, {2, 128, 6, 6}, {144, 128, 1, 1}, 1, false},
    {"Conv", 4, {2, 64, 7, 8}, {64, 64, 3, 3}, 1, true},
    {"Conv of one dimension", 3, {2, 64, 24}, {64, 64, 5}, 1, false},
    {"Conv of three dimensions", 5, {1, 40, 5, 5, 5}, {40, 40, 3, 2, 2}, 1, false},
    {"depthwise Conv in blocks", 4, {1, 2048, 9, 9}, {2048, 1, 3, 3}, 2048, false},
    {"depthwise Conv", 4, {1, 2048, 9, 9}, {2048, 1, 3, 3}, 2048, true},
    {"grouped Conv in blocks", 4, {2, 128, 6, 6}, {128, 64, 2, 2}, 2, false},
    {"grouped Conv", 4, {2, 128, 6, 6}, {128, 64, 2, 2}, 2, true},
    {"Gemm with transB", 2, {32, 128}, {190, 128}, 0, false},
};

typedef struct store_form {
  bool bias, residual;
  const char *activation; /* NULL: none */
} store_form;

static float *random_floats(uint64_t *seed, int64_t count, double scale) {
  float *made = malloc((size_t)count * sizeof *made);
  assert_non_null(made);
  for (int64_t i = 0; i < count; i++) made[i] = (float)(scale * (double)random_int(seed, -1000, 1000) / 1000);
  return made;
}

static void add_floats(model_builder *b, const char *name, uint64_t *seed, int rank, const int64_t *dims,
                       double scale) {
  float *made = random_floats(seed, dims_product(dims, 0, rank), scale);
  builder_floats(b, name, rank, dims, made);
  free(made);
}

/* y = f(BatchNormalization(layer(x, w, b)) + r). Weights are about `size`, x is about 1 / size, so what the layer
 * computes is about 1; the normalization's factors are, too, but for channel LOST, which has `factor`. */
static model_builder *make_model(const layer_form *layer, const store_form *store, double size, double factor) {
  uint64_t seed = 4711;
  const int64_t channels = layer->weights[0];
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, layer->rank, layer->x);
  add_floats(b, "w", &seed, layer->rank, layer->weights, size);
  if (store->bias) add_floats(b, "b", &seed, 1, &channels, 1);
  node *node = builder_node(b, layer->group ? "Conv" : "Gemm", store->bias ? "x w b" : "x w", "c");
  if (layer->group) builder_int(node, "group", layer->group);
  if (!layer->group) builder_int(node, "transB", 1);
  static const char *const names[] = {"scale", "shift", "mean", "variance"};
  for (int i = 0; i < 4; i++) {
    float *vector = random_floats(&seed, channels, 1);
    for (int64_t c = 0; i == 0 && c < channels; c++) vector[c] = 0.5f + 0.4f * vector[c];
    for (int64_t c = 0; i == 3 && c < channels; c++) vector[c] = 1;
    if (i == 0) vector[LOST] = (float)factor;
    if (i == 1) vector[LOST] = 0;
    builder_floats(b, names[i], 1, &channels, vector);
    free(vector);
  }
  builder_node(b, "BatchNormalization", "c scale shift mean variance", "n");
  if (store->residual) {
    int64_t dims[5];
    memcpy(dims, layer->x, sizeof dims);
    dims[1] = channels;
    for (int i = 2; i < layer->rank; i++) dims[i] -= layer->weights[i] - 1;
    builder_input(b, "r", NORMA_FLOAT, layer->rank, dims);
    builder_node(b, "Add", "n r", "s");
  }
  builder_node(b, store->activation ? store->activation : "Identity", store->residual ? "s" : "n", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

/* Output 0 at a level; `counts` (may be NULL) receives nodes of BatchNormalization and of ElementwiseChain. */
static value run_at(model_builder *b, norma_optimization level, bool plain, double size, int counts[2]) {
  static const char *const disabled[] = {"block_layout"};
  uint64_t seed = 99;
  size_t bytes_count;
  norma_error error;
  norma_model *model;
  norma_session *session;
  norma_load_options options = {.struct_size = sizeof options, .optimization = level};
  options.disabled_passes = disabled;
  options.disabled_pass_count = plain;
  const void *bytes = builder_bytes(b, &bytes_count);
  if (norma_model_load_memory(bytes, bytes_count, &options, &model, &error) != NORMA_OK ||
      norma_session_create(model, NULL, &session, &error) != NORMA_OK) {
    fail_msg("%s", error.message);
  }
  for (const node *node = model->graph->first; counts && node; node = node->next) {
    counts[0] += strcmp(node->op_type, "BatchNormalization") == 0;
    counts[1] += strcmp(node->op_type, "ElementwiseChain") == 0;
  }
  float *data[2] = {NULL};
  for (size_t i = 0; i < norma_model_input_count(model); i++) {
    norma_value_info info;
    norma_tensor tensor;
    norma_model_input(model, i, &info);
    data[i] = random_floats(&seed, dims_product(info.dims, 0, info.rank), strcmp(info.name, "x") == 0 ? 1 / size : 1);
    norma_tensor_init(&tensor, NORMA_FLOAT, info.rank, info.dims, data[i]);
    assert_int_equal(norma_session_set_input(session, info.name, &tensor, &error), NORMA_OK);
  }
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
  value result = {.kind = NORMA_VALUE_TENSOR, .tensor = *y};
  result.tensor.data = malloc(y->size_bytes);
  memcpy(result.tensor.data, y->data, y->size_bytes);
  norma_session_destroy(session);
  norma_model_destroy(model);
  for (int i = 0; i < 2; i++) free(data[i]);
  return result;
}

static bool is_finite(const value *y) {
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    if (!isfinite(((const float *)y->tensor.data)[i])) return false;
  }
  return true;
}

static void check_form(const layer_form *layer, const store_form *store, double size, double factor) {
  char what[160];
  int counts[2] = {0};
  model_builder *b = make_model(layer, store, size, factor);
  value expected = run_at(b, NORMA_OPTIMIZE_NONE, layer->plain, size, NULL);
  value found = run_at(b, NORMA_OPTIMIZE_FULL, layer->plain, size, counts);
  snprintf(what, sizeof what, "%s%s%s, %s, weights of %g, factor %g", layer->what, store->bias ? ", bias" : "",
           store->residual ? ", residual" : "", store->activation ? store->activation : "no activation", size, factor);
  if (counts[0] != 0 || counts[1] != 1) fail_msg("%s: the fold was not made and taken back", what);
  if (!is_finite(&expected)) fail_msg("%s: infinite without passes", what);
  assert_channels_near(what, &expected.tensor, &found.tensor, bound);
  random_tensor_free(&expected);
  random_tensor_free(&found);
  builder_destroy(b);
}

/* Weights that become infinite, and weights that as a whole become too small to keep their digits. */
static void every_layer_gets_its_weights_back(void **state) {
  static const store_form stores[] = {{false, false, NULL},     {true, false, NULL},         {false, true, NULL},
                                      {true, true, "Relu"},     {false, false, "LeakyRelu"}, {true, false, "Sigmoid"},
                                      {true, true, "HardSwish"}};
  (void)state;
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    for (size_t s = 0; s < sizeof stores / sizeof *stores; s++) {
      check_form(&forms[f], &stores[s], 1e30, 1e10);
      check_form(&forms[f], &stores[s], 1e-30, 1e-10);
    }
  }
}

/* Within the range nothing is taken back. */
static void factors_within_the_range_stay_folded(void **state) {
  (void)state;
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    int counts[2] = {0};
    model_builder *b = make_model(&forms[f], &(store_form){true, false, "Relu"}, 1, 2);
    value expected = run_at(b, NORMA_OPTIMIZE_NONE, forms[f].plain, 1, NULL);
    value found = run_at(b, NORMA_OPTIMIZE_FULL, forms[f].plain, 1, counts);
    if (counts[0] != 0 || counts[1] != 0) fail_msg("%s: the fold was taken back", forms[f].what);
    assert_channels_near(forms[f].what, &expected.tensor, &found.tensor, (channel_bound){2e-5, 0x1p-5});
    random_tensor_free(&expected);
    random_tensor_free(&found);
    builder_destroy(b);
  }
}

/* A factor that the type of the weights does not hold, or only with few digits, though the result is an ordinary
 * number: without passes it is computed in double. */
static void factors_beyond_the_range(void **state) {
  static const struct {
    double scale, variance, size; /* the factor is scale / sqrt(variance) */
  } cases[] = {{1e38, 1e-6, 1e11}, {1e38, 1e-38, 1e22}, {1e-38, 1e12, 1e-11}, {1e-38, 1e38, 1e-28}};
  (void)state;
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    const int64_t channels = forms[f].weights[0];
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
      model_builder *b = make_model(&forms[f], &(store_form){k >= 2, false, NULL}, 1, cases[k].scale);
      graph *graph = builder_model(b)->graph;
      node *bn = find_node(builder_model(b), "BatchNormalization");
      const char *const names[] = {"mean", "variance"};
      for (int i = 0; i < 2; i++) {
        const norma_tensor *tensor = &graph_find_value(graph, names[i])->constant->tensor;
        float *numbers = malloc((size_t)channels * sizeof *numbers);
        memcpy(numbers, tensor->data, (size_t)channels * sizeof *numbers);
        numbers[LOST] = i == 0 ? 0 : (float)cases[k].variance;
        const char *changed = i == 0 ? "mean_lost" : "variance_lost";
        builder_floats(b, changed, 1, &channels, numbers);
        node_set_input(bn, 3 + i, graph_find_value(graph, changed));
        free(numbers);
      }
      builder_float(bn, "epsilon", 0);
      int counts[2] = {0};
      value expected = run_at(b, NORMA_OPTIMIZE_NONE, forms[f].plain, cases[k].size, NULL);
      value found = run_at(b, NORMA_OPTIMIZE_FULL, forms[f].plain, cases[k].size, counts);
      if (counts[0] != 0 || counts[1] != 1) fail_msg("%s: the fold was not made and taken back", forms[f].what);
      if (!is_finite(&expected)) fail_msg("%s: infinite without passes", forms[f].what);
      assert_channels_near(forms[f].what, &expected.tensor, &found.tensor, bound);
      random_tensor_free(&expected);
      random_tensor_free(&found);
      builder_destroy(b);
    }
  }
}

/* Several layers behind each other, each with a channel that is lost. */
static void several_layers_of_one_model(void **state) {
  enum { LAYERS = 4 };
  (void)state;
  uint64_t seed = 5;
  char names[8][24], inputs[120];
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 64, 4, 4));
  float ones[64], zeros[64] = {0}, scales[64];
  for (int c = 0; c < 64; c++) ones[c] = 1;
  builder_floats(b, "ones", 1, DIMS(64), ones);
  builder_floats(b, "zeros", 1, DIMS(64), zeros);
  for (int l = 0; l < LAYERS; l++) {
    const char *const stems[] = {"w", "c", "s", "n", "r"};
    for (int k = 0; k < 5; k++) snprintf(names[k], sizeof names[k], "%s%d", stems[k], l);
    /* The first layer takes numbers of about 1e-30 to 1, the others keep them there. */
    add_floats(b, names[0], &seed, 4, DIMS(64, 64, 2, 2), l ? 1e-30 : 1e30);
    for (int c = 0; c < 64; c++) scales[c] = l == 0 ? (c == LOST ? 1e9f : 1) : (c == LOST ? 1e-9f : 1e28f);
    builder_floats(b, names[2], 1, DIMS(64), scales);
    snprintf(inputs, sizeof inputs, "%s %s", l ? names[5] : "x", names[0]);
    builder_ints(builder_node(b, "Conv", inputs, names[1]), "pads", 4, DIMS(0, 0, 1, 1));
    snprintf(inputs, sizeof inputs, "%s %s zeros zeros ones", names[1], names[2]);
    builder_node(b, "BatchNormalization", inputs, names[3]);
    builder_node(b, "Relu", names[3], names[4]);
    snprintf(names[5], sizeof names[5], "r%d", l);
  }
  builder_output(b, names[5], NORMA_FLOAT, -1, NULL);
  int counts[2] = {0};
  value expected = run_at(b, NORMA_OPTIMIZE_NONE, false, 1e30, NULL);
  value found = run_at(b, NORMA_OPTIMIZE_FULL, false, 1e30, counts);
  assert_int_equal(counts[0], 0);
  assert_int_equal(counts[1], LAYERS);
  assert_true(is_finite(&expected));
  assert_channels_near("four layers", &expected.tensor, &found.tensor, (channel_bound){5e-5, 0});
  random_tensor_free(&expected);
  random_tensor_free(&found);
  builder_destroy(b);
}

/* The batch is left open: packed for one sample, and found again when more come. */
static void open_batches(void **state) {
  (void)state;
  layer_form layer = forms[0];
  model_builder *b = make_model(&layer, &(store_form){true, false, "Relu"}, 1e30, 1e10);
  builder_model(b)->graph->inputs[0]->info.shape.dims[0] = DIM_UNKNOWN;
  size_t size;
  norma_error error;
  const void *bytes = builder_bytes(b, &size);
  uint64_t seed = 3;
  float *data = random_floats(&seed, 3 * 64 * 7 * 8, 1e-30);
  value results[2][2];
  for (int full = 0; full < 2; full++) {
    norma_model *model;
    norma_session *session;
    norma_load_options options = {.struct_size = sizeof options};
    options.optimization = full ? NORMA_OPTIMIZE_FULL : NORMA_OPTIMIZE_NONE;
    assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_OK);
    assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
    for (int k = 0; k < 2; k++) {
      norma_tensor x;
      norma_tensor_init(&x, NORMA_FLOAT, 4, DIMS(k ? 3 : 1, 64, 7, 8), data);
      norma_session_clear_inputs(session);
      assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
      if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
      const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
      results[full][k] = (value){.kind = NORMA_VALUE_TENSOR, .tensor = *y};
      results[full][k].tensor.data = malloc(y->size_bytes);
      memcpy(results[full][k].tensor.data, y->data, y->size_bytes);
    }
    norma_session_destroy(session);
    norma_model_destroy(model);
  }
  for (int k = 0; k < 2; k++) {
    assert_channels_near("open batch", &results[0][k].tensor, &results[1][k].tensor, bound);
    for (int full = 0; full < 2; full++) random_tensor_free(&results[full][k]);
  }
  free(data);
  builder_destroy(b);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

typedef struct model_bytes {
  const void *bytes;
  size_t size;
} model_bytes;

static norma_status load_in(void *context, const norma_allocator *allocator, norma_error *error) {
  const model_bytes *model_bytes = context;
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_load_options load = {.struct_size = sizeof load};
  norma_status status = norma_runtime_create(&options, &runtime, error);
  load.runtime = runtime;
  if (status == NORMA_OK) {
    status = norma_model_load_memory(model_bytes->bytes, model_bytes->size, &load, &model, error);
  }
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  const layer_form small = {"Conv", 4, {1, 64, 3, 3}, {64, 64, 2, 2}, 1, false};
  model_builder *b = make_model(&small, &(store_form){true, true, "Relu"}, 1e30, 1e10);
  model_bytes bytes;
  bytes.bytes = builder_bytes(b, &bytes.size);
  assert_int_equal(fail_each_allocation(load_in, &bytes), 0);
  builder_destroy(b);
}

/* Weights that are read by more than one layer are never folded unread: a value that nobody folded is a defect. */
static void lost_weights_must_have_one_reader(void **state) {
  (void)state;
  norma_error error;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 2));
  builder_floats(b, "w", 2, DIMS(2, 2), (float[4]){1, 2, 3, 4});
  builder_node(b, "MatMul", "x w", "a");
  builder_node(b, "MatMul", "a w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = load_built(b, NORMA_OPTIMIZE_NONE, NULL);
  const value other = {.kind = NORMA_VALUE_TENSOR};
  assert_int_equal(unfold_scale(model, graph_find_value(model->graph, "w")->constant, &error), NORMA_ERROR_INTERNAL);
  assert_int_equal(unfold_scale(model, &other, &error), NORMA_ERROR_INTERNAL);
  norma_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_layer_gets_its_weights_back),
      cmocka_unit_test(factors_within_the_range_stay_folded),
      cmocka_unit_test(factors_beyond_the_range),
      cmocka_unit_test(several_layers_of_one_model),
      cmocka_unit_test(open_batches),
      cmocka_unit_test(allocations_that_fail_are_reported),
      cmocka_unit_test(lost_weights_must_have_one_reader),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

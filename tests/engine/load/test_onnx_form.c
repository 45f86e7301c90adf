/* Models that are optimised only so far that they are ONNX again: standard operators, with contents, that compute the
 * same; and parameters that stand in Constant nodes take part. */
#include "engine/load/onnx_form.h"

#include "proto/model_writer.h"
#include "tests/support/built_model.h"
#include "tests/support/channel_error.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/random_network.h"
#include "tests/support/random_tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* The builder's model as a file, which belongs to this process. */
static const char *write_model(model_builder *b) {
  static char path[64];
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  snprintf(path, sizeof path, "/tmp/norma_test_onnx_form_%ld.onnx", (long)getpid());
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
  return path;
}

static norma_status load_file(const char *path, const norma_load_options *options, norma_graph_form form,
                              norma_model **model, norma_error *error) {
  norma_load_options formed = *options;
  formed.form = form;
  return norma_model_load(path, &formed, model, error);
}

/* In that form; the builder stays. */
static norma_model *load_form(model_builder *b, norma_graph_form form, norma_optimization level, const char *disabled) {
  norma_model *model;
  norma_error error;
  norma_load_options options = {.struct_size = sizeof options, .optimization = level, .disabled_passes = &disabled};
  options.disabled_pass_count = disabled ? 1 : 0;
  const char *path = write_model(b);
  norma_status status = load_file(path, &options, form, &model, &error);
  remove(path);
  if (status != NORMA_OK) fail_msg("%s", error.message);
  return model;
}

static norma_model *load_plain(model_builder *b) {
  norma_model *model;
  norma_error error;
  size_t size;
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_NONE};
  const void *bytes = builder_bytes(b, &size);
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  return model;
}

static int count_nodes(const norma_model *model, const char *op_type) {
  int count = 0;
  for (const node *node = model->graph->first; node; node = node->next) {
    count += !op_type || strcmp(node->op_type, op_type) == 0;
  }
  return count;
}

/* Nothing that only this engine knows, and all constants with their contents. */
static void assert_is_onnx(const norma_model *model) {
  for (const node *node = model->graph->first; node; node = node->next) {
    assert_string_not_equal(node->domain, OPERATOR_INNER_DOMAIN);
    assert_int_equal(node->epilogue.activation.kind, UNARY_IDENTITY);
    assert_int_equal(node->epilogue.residual_input, 0);
    assert_int_equal(node->epilogue.bias_input, 0);
    for (int i = 0; i < node->input_count; i++) {
      const value *constant = node->inputs[i] ? node->inputs[i]->constant : NULL;
      if (constant) assert_true(constant->tensor.data || constant->tensor.size_bytes == 0);
    }
  }
}

/* Output 0 for an input of these dimensions; to be freed. */
static value run_on_random(norma_model *model, int rank, const int64_t *dims) {
  uint64_t seed = 17;
  norma_session *session;
  norma_error error;
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  value x = random_tensor(&seed, NORMA_FLOAT, rank, dims);
  assert_int_equal(norma_session_set_input(session, NULL, &x.tensor, &error), NORMA_OK);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
  value copy = {.kind = NORMA_VALUE_TENSOR, .tensor = *y};
  copy.tensor.data = malloc(y->size_bytes);
  memcpy(copy.tensor.data, y->data, y->size_bytes);
  random_tensor_free(&x);
  norma_session_destroy(session);
  return copy;
}

static void add_numbers(model_builder *b, const char *name, int rank, const int64_t *dims) {
  uint64_t seed = 5;
  value numbers = random_tensor(&seed, NORMA_FLOAT, rank, dims);
  float *data = numbers.tensor.data;
  for (int64_t i = 0; i < norma_tensor_count(&numbers.tensor); i++) data[i] = 0.5f + 0.4f * data[i];
  builder_floats(b, name, rank, dims, data);
  random_tensor_free(&numbers);
}

/*
 *   x -> Conv -> BatchNormalization -> Relu -> Identity -> Mul -> Add -> Conv -> y,  and something dead
 */
static model_builder *make_network(void) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 4, 6, 6));
  add_numbers(b, "w1", 4, DIMS(8, 4, 3, 3));
  add_numbers(b, "w2", 4, DIMS(8, 8, 1, 1));
  add_numbers(b, "v", 1, DIMS(8));
  add_numbers(b, "p", 4, DIMS(1, 8, 1, 1));
  builder_node(b, "Conv", "x w1", "c1");
  builder_node(b, "BatchNormalization", "c1 v v v v", "n1");
  builder_node(b, "Relu", "n1", "r1");
  builder_node(b, "Identity", "r1", "i1");
  builder_node(b, "Mul", "i1 p", "m1");
  builder_node(b, "Add", "m1 p", "a1");
  builder_node(b, "Conv", "a1 w2", "y");
  builder_node(b, "Exp", "r1", "dead");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

/* ------------------------------------------------------------------------------------------------------------ forms */

/* FOLDED leaves alone what has nothing to do with normalizations; OPTIMIZED removes what is redundant and dead. */
static void forms_fold_and_tidy(void **state) {
  (void)state;
  model_builder *b = make_network();
  norma_model *plain = load_plain(b);
  norma_model *folded = load_form(b, NORMA_FORM_FOLDED, NORMA_OPTIMIZE_DEFAULT, NULL);
  norma_model *optimized = load_form(b, NORMA_FORM_OPTIMIZED, NORMA_OPTIMIZE_DEFAULT, NULL);
  norma_model *const all[] = {plain, folded, optimized};
  value expected = run_on_random(plain, 4, DIMS(1, 4, 6, 6));
  for (int i = 0; i < 3; i++) {
    assert_is_onnx(all[i]);
    value y = run_on_random(all[i], 4, DIMS(1, 4, 6, 6));
    assert_channels_near("form", &expected.tensor, &y.tensor, (channel_bound){1e-5, 0x1p-10});
    random_tensor_free(&y);
  }
  assert_int_equal(count_nodes(folded, "BatchNormalization"), 0);
  assert_int_equal(count_nodes(folded, "Identity"), 1);
  assert_int_equal(count_nodes(folded, "Exp"), 1);
  assert_int_equal(count_nodes(folded, "Relu"), 1); /* not fused */
  assert_int_equal(count_nodes(optimized, "BatchNormalization"), 0);
  assert_int_equal(count_nodes(optimized, NULL), 3); /* Conv, Relu, Conv */
  random_tensor_free(&expected);
  for (int i = 0; i < 3; i++) norma_model_destroy(all[i]);
  builder_destroy(b);
}

/* The caller's level does not matter, and what it disables stays disabled. */
static void levels_do_not_matter_and_disabled_passes_stay_so(void **state) {
  (void)state;
  model_builder *b = make_network();
  for (int level = NORMA_OPTIMIZE_DEFAULT; level <= NORMA_OPTIMIZE_FULL; level++) {
    norma_model *model = load_form(b, NORMA_FORM_OPTIMIZED, (norma_optimization)level, NULL);
    assert_int_equal(count_nodes(model, NULL), 3);
    norma_model_destroy(model);
    model = load_form(b, NORMA_FORM_FOLDED, (norma_optimization)level, "fold_batch_normalization_into_conv");
    assert_int_equal(count_nodes(model, "BatchNormalization"), 1);
    norma_model_destroy(model);
    model = load_form(b, NORMA_FORM_OPTIMIZED, (norma_optimization)level, "remove_identity");
    assert_int_equal(count_nodes(model, "Identity"), 1);
    norma_model_destroy(model);
  }
  builder_destroy(b);
}

/* Whatever is in a model: standard operators, the same results. */
static void random_networks_stay_onnx(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    random_network network;
    random_network_make(&network, seed, 7, false);
    network.input[0] = 2;
    norma_model *models[3] = {NULL};
    value results[3];
    for (int i = 1; i < 3; i++) {
      models[i] =
          load_form(network.builder, i == 1 ? NORMA_FORM_FOLDED : NORMA_FORM_OPTIMIZED, NORMA_OPTIMIZE_DEFAULT, NULL);
      assert_is_onnx(models[i]);
    }
    models[0] = load_plain(network.builder);
    for (int i = 0; i < 3; i++) {
      results[i] = run_on_random(models[i], 4, network.input);
      if (i > 0)
        assert_channels_near(network.text, &results[0].tensor, &results[i].tensor, (channel_bound){1e-5, 0x1p-5});
    }
    for (int i = 0; i < 3; i++) {
      random_tensor_free(&results[i]);
      norma_model_destroy(models[i]);
    }
    random_network_free(&network);
  }
}

/* The model written and loaded again at -O 0. */
static norma_model *write_and_load(const norma_model *model) {
  void *bytes;
  size_t size;
  norma_error error;
  norma_model *again;
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_NONE};
  if (model_write_memory(model, NULL, &bytes, &size, &error) != NORMA_OK) fail_msg("%s", error.message);
  if (norma_model_load_memory(bytes, size, &options, &again, &error) != NORMA_OK) fail_msg("%s", error.message);
  memory_free(model->memory, bytes);
  return again;
}

/* Containers have no form as initializers, so what makes them stays. */
static void constant_sequences_stay_nodes(void **state) {
  (void)state;
  for (int is_output = 0; is_output < 2; is_output++) {
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 1, DIMS(2));
    builder_input(b, "i", NORMA_INT64, 0, NULL);
    builder_floats(b, "a", 1, DIMS(2), (float[2]){1, 2});
    builder_floats(b, "b", 1, DIMS(2), (float[2]){3, 4});
    builder_node(b, "SequenceConstruct", "a b", "s");
    builder_node(b, "SequenceAt", "s i", "t");
    builder_node(b, "Add", "x t", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    if (is_output) builder_output(b, "s", NORMA_UNDEFINED, -1, NULL);
    norma_model *optimized = load_form(b, NORMA_FORM_OPTIMIZED, NORMA_OPTIMIZE_DEFAULT, NULL);
    norma_model *again = write_and_load(optimized);
    assert_int_equal(norma_model_output_count(again), 1 + is_output);
    norma_model_destroy(again);
    norma_model_destroy(optimized);
    builder_destroy(b);
  }
}

static void files_that_cannot_be_read(void **state) {
  (void)state;
  norma_error error;
  norma_model *model = (norma_model *)&error;
  const norma_load_options options = {.struct_size = sizeof options};
  assert_int_equal(load_file("no_such_file.onnx", &options, NORMA_FORM_FOLDED, &model, &error), NORMA_ERROR_FILE);
  assert_null(model);
}

/* --------------------------------------------------------------------------------------------------- Constant nodes */

/* A constant that stands in a node: `op_type` reads it as its second input. */
static norma_model *load_with_constant_node(const char *op_type, bool is_output, bool as_number) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 4));
  float numbers[16];
  for (int i = 0; i < 16; i++) numbers[i] = (float)(i % 5 + 1);
  node *constant = builder_node(b, "Constant", "", "w");
  if (as_number) builder_float(constant, "value_float", 3);
  if (!as_number) builder_tensor(constant, "value", NORMA_FLOAT, 2, DIMS(4, 4), numbers);
  builder_node(b, op_type, "x w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  if (is_output) builder_output(b, "w", NORMA_FLOAT, -1, NULL);
  norma_model *model = load_form(b, NORMA_FORM_FOLDED, NORMA_OPTIMIZE_DEFAULT, NULL);
  builder_destroy(b);
  return model;
}

/* Parameters of layers and of what is folded into them become constants; others stay where they are. */
static void parameters_leave_their_nodes(void **state) {
  (void)state;
  static const struct {
    const char *op_type;
    bool is_output, as_number;
    int nodes;
  } cases[] = {{"MatMul", false, false, 0},
               {"Gemm", false, false, 0},
               {"MatMul", true, false, 1},
               {"Mul", false, true, 0},
               {"PRelu", false, true, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    norma_model *model = load_with_constant_node(cases[i].op_type, cases[i].is_output, cases[i].as_number);
    assert_int_equal(count_nodes(model, "Constant"), cases[i].nodes);
    assert_is_onnx(model);
    norma_model_destroy(model);
  }
}

/* Weights and statistics in nodes, as some exporters write them: folded as initializers are. */
static void statistics_in_nodes_are_folded(void **state) {
  (void)state;
  uint64_t seed = 4;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 2, 5, 5));
  value w = random_tensor(&seed, NORMA_FLOAT, 4, DIMS(3, 2, 3, 3));
  builder_tensor(builder_node(b, "Constant", "", "w"), "value", NORMA_FLOAT, 4, DIMS(3, 2, 3, 3), w.tensor.data);
  static const char *const names[] = {"s", "b", "m", "v"};
  for (int i = 0; i < 4; i++) {
    builder_tensor(builder_node(b, "Constant", "", names[i]), "value", NORMA_FLOAT, 1, DIMS(3),
                   (float[3]){0.5f, 1, (float)i});
  }
  builder_node(b, "Conv", "x w", "c");
  builder_node(b, "BatchNormalization", "c s b m v", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *folded = load_form(b, NORMA_FORM_FOLDED, NORMA_OPTIMIZE_DEFAULT, NULL);
  assert_int_equal(count_nodes(folded, NULL), 1);
  norma_model *plain = load_plain(b);
  builder_destroy(b);
  value expected = run_on_random(plain, 4, DIMS(1, 2, 5, 5)), y = run_on_random(folded, 4, DIMS(1, 2, 5, 5));
  assert_channels_near("statistics in nodes", &expected.tensor, &y.tensor, (channel_bound){1e-5, 0x1p-10});
  random_tensor_free(&expected);
  random_tensor_free(&y);
  random_tensor_free(&w);
  norma_model_destroy(plain);
  norma_model_destroy(folded);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status load_in(void *context, const norma_allocator *allocator, norma_error *error) {
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_load_options load = {.struct_size = sizeof load};
  norma_status status = norma_runtime_create(&options, &runtime, error);
  load.runtime = runtime;
  if (status == NORMA_OK) status = load_file(context, &load, NORMA_FORM_OPTIMIZED, &model, error);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  char path[64];
  model_builder *b = make_network();
  float numbers[32] = {0};
  builder_tensor(builder_node(b, "Constant", "", "w3"), "value", NORMA_FLOAT, 4, DIMS(4, 8, 1, 1), numbers);
  builder_node(b, "Conv", "y w3", "z");
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  snprintf(path, sizeof path, "%s", write_model(b));
  assert_int_equal(fail_each_allocation(load_in, path), 0);
  remove(path);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forms_fold_and_tidy),
      cmocka_unit_test(levels_do_not_matter_and_disabled_passes_stay_so),
      cmocka_unit_test(random_networks_stay_onnx),
      cmocka_unit_test(constant_sequences_stay_nodes),
      cmocka_unit_test(files_that_cannot_be_read),
      cmocka_unit_test(parameters_leave_their_nodes),
      cmocka_unit_test(statistics_in_nodes_are_folded),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

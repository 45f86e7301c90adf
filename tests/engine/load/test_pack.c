/* Constants take the form that kernels read, once per model, and give their own back only where nobody needs it any
 * more; what waits in the file is read once. */
#include "engine/load/pack.h"

#include "engine/base/status.h"
#include "engine/execute/runtime.h"
#include "ops/registry.h"
#include "tests/support/built_model.h"
#include "tests/support/channel_error.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/random_tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static norma_model *load_full(model_builder *b) {
  norma_runtime *runtime; /* of one thread, which is the model's from then on */
  norma_error error;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
  norma_model *model = load_built(b, NORMA_OPTIMIZE_FULL, runtime);
  model->owns_runtime = true;
  return model;
}

/* Whether the constant of that name still has its own form; it has its type and shape in any case. */
static bool has_data(const norma_model *model, const char *name) {
  const graph_value *found = graph_find_value(model->graph, name);
  if (!found || !found->constant) fail_msg("no constant '%s'", name);
  assert_false(value_is_lazy(found->constant));
  assert_int_equal(found->constant->kind, NORMA_VALUE_TENSOR);
  assert_true(found->constant->tensor.rank > 0 && norma_tensor_count(&found->constant->tensor) > 0);
  return found->constant->tensor.data != NULL;
}

static void add_numbers(model_builder *b, const char *name, int rank, const int64_t *dims) {
  uint64_t seed = 77;
  value numbers = random_tensor(&seed, NORMA_FLOAT, rank, dims);
  builder_floats(b, name, rank, dims, numbers.tensor.data);
  random_tensor_free(&numbers);
}

/* Output 0 for an "x" of random numbers; to be freed. */
static value run_with(norma_session *session, int rank, const int64_t *dims) {
  uint64_t seed = 3;
  norma_error error;
  value x = random_tensor(&seed, NORMA_FLOAT, rank, dims);
  norma_session_clear_inputs(session);
  assert_int_equal(norma_session_set_input(session, "x", &x.tensor, &error), NORMA_OK);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
  value copy = {.kind = NORMA_VALUE_TENSOR, .tensor = *y};
  copy.tensor.data = malloc(y->size_bytes);
  memcpy(copy.tensor.data, y->data, y->size_bytes);
  random_tensor_free(&x);
  return copy;
}

static norma_session *open_session(norma_model *model) {
  norma_session *session;
  norma_error error;
  if (norma_session_create(model, NULL, &session, &error) != NORMA_OK) fail_msg("%s", error.message);
  return session;
}

/* The model computes what it does as exported, for each of the shapes of "x". The builder is destroyed. */
static norma_model *check_results(model_builder *b, int rank, const int64_t (*shapes)[4], int count) {
  size_t size;
  norma_error error;
  norma_model *plain;
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_NONE};
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &plain, &error), NORMA_OK);
  norma_model *model = load_full(b);
  norma_session *expected = open_session(plain), *found = open_session(model);
  for (int i = 0; i < count; i++) {
    value y = run_with(expected, rank, shapes[i]), z = run_with(found, rank, shapes[i]);
    assert_channels_near("packed", &y.tensor, &z.tensor, (channel_bound){2e-5, 0x1p-6});
    random_tensor_free(&y);
    random_tensor_free(&z);
  }
  norma_session_destroy(expected);
  norma_session_destroy(found);
  norma_model_destroy(plain);
  return model;
}

/* ------------------------------------------------------------------------------------------------------- given back */

/* Fixed shapes: everything is packed as the model is loaded, small constants and large ones. */
static void packed_constants_give_their_own_form_back(void **state) {
  (void)state;
  for (int large = 0; large < 2; large++) {
    const int64_t c = large ? 96 : 8;
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, c, 6, 6));
    add_numbers(b, "w", 4, DIMS(c, c, 3, 3));
    add_numbers(b, "t", 4, DIMS(c, c, 2, 2));
    add_numbers(b, "m", 2, DIMS(c * 25, 2 * c));
    builder_node(b, "Conv", "x w", "a");
    builder_node(b, "ConvTranspose", "a t", "d");
    builder_node(b, "Flatten", "d", "e");
    builder_node(b, "MatMul", "e m", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    norma_model *model = check_results(b, 4, (const int64_t[1][4]){{1, c, 6, 6}}, 1);
    assert_false(has_data(model, "w"));
    assert_false(has_data(model, "t"));
    assert_false(has_data(model, "m"));
    norma_model_destroy(model);
  }
}

/* Constants that nothing packs, and those that someone else needs, stay. */
static void what_others_read_stays(void **state) {
  enum { ALONE, NODE, TWICE, OUTPUT, BRANCH, COUNT };
  (void)state;
  for (int other = 0; other < COUNT; other++) {
    for (int large = 0; large < 2; large++) {
      const int64_t k = large ? 160 : 8;
      model_builder *b = builder_create(17);
      builder_input(b, "x", NORMA_FLOAT, 2, DIMS(k, k));
      builder_input(b, "s", NORMA_FLOAT, 0, NULL);
      builder_input(b, "c", NORMA_BOOL, 0, NULL);
      add_numbers(b, "w", 2, DIMS(k, k));
      add_numbers(b, "v", 2, DIMS(k, k));
      builder_node(b, "MatMul", "x w", "m");
      builder_node(b, "Pow", "m v", "y");
      builder_output(b, "y", NORMA_FLOAT, -1, NULL);
      if (other == OUTPUT) builder_output(b, "w", NORMA_FLOAT, -1, NULL);
      if (other == NODE) builder_node(b, "Pow", "s w", "z");
      if (other == TWICE) builder_node(b, "MatMul", "y w", "z");
      node *branches = other == BRANCH ? builder_node(b, "If", "c", "z") : NULL;
      for (int i = 0; branches && i < 2; i++) {
        model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
        builder_node(branch, i ? "Add" : "Pow", "s w", "d");
        builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
      }
      if (other == NODE || other == TWICE || other == BRANCH) builder_output(b, "z", NORMA_FLOAT, -1, NULL);
      norma_model *model = load_full(b);
      assert_int_equal(has_data(model, "w"), other != ALONE);
      assert_true(has_data(model, "v"));
      norma_model_destroy(model);
    }
  }
}

/* A bias that waits in the file beside the weights is read whole: prepare may look at it. */
static void all_constants_of_a_node_are_there_as_it_packs(void **state) {
  enum { UNITS = 20000 };
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 3));
  add_numbers(b, "w", 2, DIMS(3, UNITS));
  add_numbers(b, "bias", 1, DIMS(UNITS));
  builder_node(b, "Gemm", "x w bias", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = check_results(b, 2, (const int64_t[1][4]){{2, 3}}, 1);
  assert_false(has_data(model, "w"));
  norma_model_destroy(model);
}

/* ------------------------------------------------------------------------------------------------------ open shapes */

/* Only the batch is open: packed for a batch of 1, and found again for all others. */
static void open_batches_find_what_was_packed(void **state) {
  static const int64_t shapes[4][4] = {{1, 48, 7, 7}, {3, 48, 7, 7}, {2, 48, 7, 7}, {17, 48, 7, 7}};
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(-1, 48, 7, 7));
  add_numbers(b, "w", 4, DIMS(128, 48, 3, 3));
  add_numbers(b, "m", 2, DIMS(128, 400));
  builder_node(b, "Conv", "x w", "a");
  builder_node(b, "GlobalMaxPool", "a", "g");
  builder_node(b, "Flatten", "g", "e");
  builder_node(b, "MatMul", "e m", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = check_results(b, 4, shapes, 4);
  assert_false(has_data(model, "w"));
  assert_false(has_data(model, "m"));
  const size_t used = norma_runtime_memory_used(model->runtime);
  norma_session *session = open_session(model);
  for (int i = 0; i < 4; i++) {
    value y = run_with(session, 4, shapes[i]);
    random_tensor_free(&y);
  }
  norma_session_destroy(session);
  assert_int_equal(norma_runtime_memory_used(model->runtime), used); /* nothing was packed anew */
  norma_model_destroy(model);
}

/* Forms that depend on the batch are packed, and the original stays for the others. */
static void forms_of_one_batch_keep_the_original(void **state) {
  static const int64_t shapes[3][4] = {{1, 24, 5, 5}, {2, 24, 5, 5}, {9, 24, 5, 5}};
  (void)state;
  for (int kind = 0; kind < 2; kind++) {
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(-1, 24, 5, 5));
    add_numbers(b, "w", kind ? 2 : 4, kind ? DIMS(7, 5) : DIMS(24, 40, 3, 3));
    builder_node(b, kind ? "MatMul" : "ConvTranspose", kind ? "w x" : "x w", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    norma_model *model = check_results(b, 4, shapes, 3);
    assert_true(has_data(model, "w"));
    norma_model_destroy(model);
  }
}

/* More than the batch is open: packed as plans are made, for each shape that needs it, and the original stays. */
static void other_open_dimensions_leave_it_to_plans(void **state) {
  static const int64_t shapes[3][4] = {{1, 24, 5, 9}, {2, 24, 12, 12}, {1, 24, 30, 3}};
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(-1, 24, -1, -1));
  add_numbers(b, "w", 4, DIMS(128, 24, 3, 3));
  builder_node(b, "Conv", "x w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = check_results(b, 4, shapes, 3);
  assert_true(has_data(model, "w"));
  norma_model_destroy(model);
}

/* Sizes that do not matter to the packed form may be open, even the one that the weights know. */
static void products_are_packed_whatever_is_open(void **state) {
  static const int64_t shapes[4][4] = {{1, 1, 160}, {3, 7, 160}, {1, 40, 160}, {2, 1, 160}};
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, -1, 160));
  add_numbers(b, "w", 2, DIMS(160, 200));
  add_numbers(b, "v", 2, DIMS(200, 160));
  builder_node(b, "MatMul", "x w", "a");
  builder_node(b, "Shape", "a", "s");
  builder_node(b, "Reshape", "a s", "r"); /* all that is known of its sizes is how many there are */
  builder_node(b, "MatMul", "r v", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = check_results(b, 3, shapes, 4);
  assert_false(has_data(model, "w"));
  assert_false(has_data(model, "v"));
  const size_t used = norma_runtime_memory_used(model->runtime);
  norma_session *session = open_session(model);
  for (int i = 0; i < 4; i++) {
    value y = run_with(session, 3, shapes[i]);
    random_tensor_free(&y);
  }
  norma_session_destroy(session);
  assert_int_equal(norma_runtime_memory_used(model->runtime), used); /* nothing was packed anew */
  norma_model_destroy(model);
}

/* Inputs of unknown rank, or that are no tensors, are as good as open ones. */
static void inputs_that_nobody_knows(void **state) {
  (void)state;
  const value_info item = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .shape = {.rank = RANK_UNKNOWN}};
  const value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .item = &item};
  for (int kind = 0; kind < 2; kind++) {
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, kind ? 2 : -1, DIMS(4, 160));
    if (kind) builder_input_info(b, "s", &sequence);
    if (kind) builder_node(b, "SequenceLength", "s", "length");
    if (kind) builder_output(b, "length", NORMA_INT64, -1, NULL);
    add_numbers(b, "w", 2, DIMS(160, 160));
    builder_node(b, "MatMul", "x w", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    norma_model *model = load_full(b);
    assert_int_equal(has_data(model, "w"), kind == 0);
    norma_model_destroy(model);
  }
}

/* With a batch of 1 this model makes no sense; it is loaded all the same. */
static void models_that_want_another_batch(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 40));
  builder_ints64(b, "shape", 1, DIMS(2), DIMS(-1, 160));
  add_numbers(b, "w", 2, DIMS(160, 160));
  builder_node(b, "Reshape", "x shape", "r");
  builder_node(b, "MatMul", "r w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = check_results(b, 2, (const int64_t[2][4]){{4, 40}, {12, 40}}, 2);
  assert_true(has_data(model, "w"));
  norma_model_destroy(model);
}

/* A model that is wrong for the one shape that it takes cannot be loaded. */
static void models_that_are_wrong_for_their_only_shape(void **state) {
  (void)state;
  norma_error error;
  norma_model *model;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 40));
  builder_ints64(b, "shape", 1, DIMS(2), DIMS(-1, 160));
  add_numbers(b, "w", 2, DIMS(160, 160));
  builder_node(b, "Reshape", "x shape", "r");
  builder_node(b, "MatMul", "r w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  assert_int_equal(try_built(b, NORMA_OPTIMIZE_FULL, NULL, &model, &error), NORMA_ERROR_INVALID_MODEL);
  assert_null(model);
}

/* Behind shapes that depend on data nodes are packed as far as no size matters. */
static void shapes_that_depend_on_data(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(4, 160));
  add_numbers(b, "w", 2, DIMS(160, 160));
  add_numbers(b, "v", 2, DIMS(2, 160));
  builder_node(b, "MatMul", "x w", "m");
  builder_node(b, "NonZero", "m", "n");
  builder_node(b, "Transpose", "n", "t");
  builder_int(builder_node(b, "Cast", "t", "f"), "to", NORMA_FLOAT);
  builder_node(b, "MatMul", "f v", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = check_results(b, 2, (const int64_t[1][4]){{4, 160}}, 1);
  assert_false(has_data(model, "w"));
  assert_false(has_data(model, "v"));
  norma_model_destroy(model);
}

/* ----------------------------------------------------------------------------------------------- what is not packed */

/* Where dead nodes are left in the graph they get no step, so their weights are not packed. */
static void results_that_nobody_reads(void **state) {
  static const char *const disabled[] = {"dead_code_elimination"};
  (void)state;
  size_t size;
  norma_error error;
  norma_model *model;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(4, 160));
  add_numbers(b, "w", 2, DIMS(160, 160));
  add_numbers(b, "v", 2, DIMS(160, 160));
  builder_node(b, "MatMul", "x w", "y");
  builder_node(b, "MatMul", "x v", "unread");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .disabled_passes = disabled, .disabled_pass_count = 1};
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_OK);
  builder_destroy(b);
  assert_false(has_data(model, "w"));
  assert_true(has_data(model, "v"));
  norma_model_destroy(model);
}

/* Only the shape of the first product is asked for, which is known without it; a watch may ask for more later. */
static void results_of_which_only_the_shape_is_read(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 160));
  add_numbers(b, "w", 2, DIMS(160, 170));
  add_numbers(b, "v", 2, DIMS(170, 180));
  builder_node(b, "MatMul", "x w", "m");
  builder_node(b, "MatMul", "m v", "n");
  builder_node(b, "Shape", "n", "y");
  builder_output(b, "y", NORMA_INT64, -1, NULL);
  norma_model *model = load_full(b);
  assert_true(has_data(model, "w"));
  assert_true(has_data(model, "v"));
  norma_session *session = open_session(model);
  for (int watched = 0; watched < 2; watched++) {
    norma_error error;
    if (watched) assert_int_equal(norma_session_watch(session, "n", &error), NORMA_OK);
    value y = run_with(session, 2, DIMS(4, 160));
    assert_int_equal(((const int64_t *)y.tensor.data)[0], 4);
    assert_int_equal(((const int64_t *)y.tensor.data)[1], 180);
    const norma_value *n = norma_session_value(session, "n");
    if (watched) assert_int_equal(norma_value_tensor(n)->dims[1], 180);
    random_tensor_free(&y);
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
}

/* What a branch reads is needed as well. */
static void results_that_branches_read(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(4, 160));
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  add_numbers(b, "w", 2, DIMS(160, 160));
  builder_node(b, "MatMul", "x w", "m");
  node *branches = builder_node(b, "If", "c", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
    builder_node(branch, i ? "Neg" : "Exp", "m", "d");
    builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = load_full(b);
  assert_false(has_data(model, "w"));
  norma_model_destroy(model);
}

/* ---------------------------------------------------------------------------------------------------------- reading */

/* Bytes that this process has read from files. */
static long long bytes_read(void) {
  long long bytes = -1;
  FILE *file = fopen("/proc/self/io", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "rchar: %lld", &bytes), 1);
  fclose(file);
  return bytes;
}

/* However many read the weights, and whatever is done to them as they are read, they come from the file once. */
static void every_byte_is_read_once(void **state) {
  enum { SIZE = 1000, FORMS = 5 };
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "/tmp/norma_test_pack_%ld.onnx", (long)getpid());
  for (int form = 0; form < FORMS; form++) {
    float *ones = malloc(SIZE * sizeof *ones);
    for (int i = 0; i < SIZE; i++) ones[i] = (float)(1 + i % 3);
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(form == 1 ? -1 : form == 2 ? SIZE : 2, SIZE));
    add_numbers(b, "w", 2, DIMS(SIZE, SIZE));
    builder_floats(b, "scale", 1, DIMS(SIZE), ones);
    builder_int(builder_node(b, "Gemm", "x w", "m"), "transB", 1);
    if (form == 2) builder_node(b, "Pow", "m w", "y");
    if (form == 3) builder_node(b, "MatMul", "m w", "y");
    if (form == 4) builder_node(b, "Mul", "m scale", "y");
    builder_output(b, form > 1 ? "y" : "m", NORMA_FLOAT, -1, NULL);
    size_t size;
    const void *bytes = builder_bytes(b, &size);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    for (int level = NORMA_OPTIMIZE_NONE; level <= NORMA_OPTIMIZE_FULL; level++) {
      norma_error error;
      norma_model *model;
      norma_load_options options = {.struct_size = sizeof options, .optimization = (norma_optimization)level};
      const long long before = bytes_read();
      if (norma_model_load(path, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
      const long long taken = bytes_read() - before;
      if (taken > (long long)size + 200000) fail_msg("form %d: %lld bytes of %zu", form, taken, size);
      assert_true(taken >= (long long)size - 1000);
      norma_model_destroy(model);
    }
    remove(path);
    free(ones);
    builder_destroy(b);
  }
}

/* ----------------------------------------------------------------------------------------------------------- errors */

static norma_status packs_nothing(prepare_context *context, void *destination, const void *argument) {
  (void)destination;
  (void)argument;
  return prepare_fail(context, NORMA_ERROR_RUN, "this cannot be packed");
}

static norma_status prepare_badly(prepare_context *context) {
  const void *packed;
  return prepare_packed_from(context, 0, 64, packs_nothing, NULL, &packed);
}

static norma_status compute_nothing(run_context *context) {
  (void)context;
  return NORMA_OK;
}

/* What a prepare function says is the load's error, with the node. */
static void errors_of_prepare_functions(void **state) {
  static const operator_descriptor bad = {.domain = "test.house",
                                          .name = "Bad",
                                          .versions = {1},
                                          .min_inputs = 2,
                                          .max_inputs = 2,
                                          .min_outputs = 1,
                                          .max_outputs = 1,
                                          .infer = infer_same,
                                          .prepare = prepare_badly,
                                          .compute = compute_nothing,
                                          .facts = {.packs = INPUT(1)}};
  (void)state;
  for (int open = 0; open < 2; open++) {
    norma_error error;
    norma_model *model;
    norma_runtime *runtime;
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
    assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
    assert_int_equal(operator_registry_add(runtime->operators, &bad, &error), NORMA_OK);
    model_builder *b = builder_create(17);
    builder_import(b, "test.house", 1);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(open ? -1 : 4, 160));
    add_numbers(b, "w", 2, DIMS(160, 160));
    builder_named_node(b, "culprit", "test.house", "Bad", "x w", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    assert_int_equal(try_built(b, NORMA_OPTIMIZE_FULL, runtime, &model, &error), NORMA_ERROR_RUN);
    assert_null(model);
    assert_int_equal(error.status, NORMA_ERROR_RUN);
    assert_string_equal(error.node, "culprit");
    assert_non_null(strstr(error.message, "this cannot be packed"));
    norma_runtime_destroy(runtime);
  }
}

/* ----------------------------------------------------------------------------------------------------------- memory */

typedef struct model_bytes {
  const void *data;
  size_t size;
} model_bytes;

static norma_status load_in(void *context, const norma_allocator *allocator, norma_error *error) {
  const model_bytes *bytes = context;
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_load_options load = {.struct_size = sizeof load};
  norma_status status = norma_runtime_create(&options, &runtime, error);
  load.runtime = runtime;
  if (status == NORMA_OK) status = norma_model_load_memory(bytes->data, bytes->size, &load, &model, error);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_bytes bytes;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(-1, 16, 8, 8));
  add_numbers(b, "w", 4, DIMS(128, 16, 3, 3));
  add_numbers(b, "bias", 1, DIMS(128));
  add_numbers(b, "m", 2, DIMS(128, 200));
  builder_node(b, "Conv", "x w bias", "a");
  builder_node(b, "GlobalMaxPool", "a", "g");
  builder_node(b, "Flatten", "g", "e");
  builder_node(b, "MatMul", "e m", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  bytes.data = builder_bytes(b, &bytes.size);
  assert_int_equal(fail_each_allocation(load_in, &bytes), 0);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(packed_constants_give_their_own_form_back),
      cmocka_unit_test(what_others_read_stays),
      cmocka_unit_test(all_constants_of_a_node_are_there_as_it_packs),
      cmocka_unit_test(open_batches_find_what_was_packed),
      cmocka_unit_test(forms_of_one_batch_keep_the_original),
      cmocka_unit_test(other_open_dimensions_leave_it_to_plans),
      cmocka_unit_test(products_are_packed_whatever_is_open),
      cmocka_unit_test(inputs_that_nobody_knows),
      cmocka_unit_test(models_that_want_another_batch),
      cmocka_unit_test(models_that_are_wrong_for_their_only_shape),
      cmocka_unit_test(shapes_that_depend_on_data),
      cmocka_unit_test(results_that_nobody_reads),
      cmocka_unit_test(results_of_which_only_the_shape_is_read),
      cmocka_unit_test(results_that_branches_read),
      cmocka_unit_test(every_byte_is_read_once),
      cmocka_unit_test(errors_of_prepare_functions),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

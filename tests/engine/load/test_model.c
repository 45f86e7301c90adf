/* Models as programs see them: what may be asked for as they are loaded, what they say of their inputs and outputs, and
 * who owns what. */
#include "engine/graph/model.h"

#include "tests/support/built_model.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/random_tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* A model as bytes and as a file, which are the same. */
typedef struct model_files {
  model_builder *builder;
  const void *bytes;
  size_t size;
  char path[64];
} model_files;

/* Large enough that weights stay unread until they are packed. */
static model_builder *make_layers(void) {
  static float w[160 * 128];
  uint64_t seed = 8;
  for (size_t i = 0; i < sizeof w / sizeof *w; i++) w[i] = (float)random_int(&seed, -8, 8);
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 128));
  builder_floats(b, "w", 2, DIMS(128, 160), w);
  builder_floats(b, "bias", 1, DIMS(160), w);
  builder_named_node(b, "layer", "", "Gemm", "x w bias", "c");
  builder_named_node(b, "activation", "", "Relu", "c", "y");
  builder_output(b, "y", NORMA_FLOAT, 2, DIMS(2, 160));
  return b;
}

static void write_bytes_to(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

static void files_open(model_files *files, model_builder *builder) {
  files->builder = builder;
  files->bytes = builder_bytes(builder, &files->size);
  snprintf(files->path, sizeof files->path, "/tmp/norma_test_model_%ld.onnx", (long)getpid());
  write_bytes_to(files->path, files->bytes, files->size);
}

static void files_close(model_files *files) {
  builder_destroy(files->builder);
  remove(files->path);
}

/* The first output for x = -4, -3 .. 4, -4 ..; to be freed. */
static float *run_layers(norma_model *model) {
  float x[2 * 128], *y = malloc(2 * 160 * sizeof *y);
  norma_session *session;
  norma_error error;
  norma_tensor tensor;
  for (int i = 0; i < 256; i++) x[i] = (float)(i % 9 - 4);
  norma_tensor_init(&tensor, NORMA_FLOAT, 2, DIMS(2, 128), x);
  if (norma_session_create(model, NULL, &session, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(norma_session_set_input(session, NULL, &tensor, &error), NORMA_OK);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  memcpy(y, norma_value_tensor(norma_session_output(session, 0))->data, 2 * 160 * sizeof *y);
  norma_session_destroy(session);
  return y;
}

/* ---------------------------------------------------------------------------------------------------------- sources */

/* From a file, from a mapped file and from memory, with and without weights that wait: the same model. */
static void every_source_gives_the_same(void **state) {
  (void)state;
  model_files files;
  norma_error error;
  float *first = NULL;
  files_open(&files, make_layers());
  for (int source = 0; source < 3; source++) {
    for (int keep = 0; keep < 2; keep++) {
      for (int level = NORMA_OPTIMIZE_DEFAULT; level <= NORMA_OPTIMIZE_FULL; level++) {
        norma_model *model;
        norma_load_options options = {.struct_size = sizeof options, .keep_constants = keep, .map_file = source == 1};
        options.optimization = (norma_optimization)level;
        norma_status status = source == 2 ? norma_model_load_memory(files.bytes, files.size, &options, &model, &error)
                                          : norma_model_load(files.path, &options, &model, &error);
        if (status != NORMA_OK) fail_msg("%s", error.message);
        float *y = run_layers(model);
        if (!first) first = y;
        assert_memory_equal(y, first, 2 * 160 * sizeof *y); /* whole numbers, so no rounding */
        if (y != first) free(y);
        norma_model_destroy(model);
      }
    }
  }
  free(first);
  files_close(&files);
}

/* What is needed of bytes in memory, and of all strings, is copied; a file may go, where it was not mapped. */
static void sources_may_go(void **state) {
  (void)state;
  norma_error error;
  norma_model *models[2];
  model_files files;
  files_open(&files, make_layers());
  char *bytes = malloc(files.size), disabled_name[] = "fuse_activation";
  const char *disabled = disabled_name;
  memcpy(bytes, files.bytes, files.size);
  norma_load_options options = {.struct_size = sizeof options, .disabled_passes = &disabled, .disabled_pass_count = 1};
  assert_int_equal(norma_model_load_memory(bytes, files.size, &options, &models[0], &error), NORMA_OK);
  assert_int_equal(norma_model_load(files.path, &options, &models[1], &error), NORMA_OK);
  memset(bytes, 'x', files.size);
  memset(disabled_name, 'x', sizeof disabled_name - 1);
  free(bytes);
  files_close(&files);
  float *y[2];
  for (int i = 0; i < 2; i++) y[i] = run_layers(models[i]);
  assert_memory_equal(y[0], y[1], 2 * 160 * sizeof(float));
  for (int i = 0; i < 2; i++) {
    free(y[i]);
    norma_model_destroy(models[i]);
  }
}

static void what_is_no_model(void **state) {
  (void)state;
  norma_error error;
  norma_model *model = (norma_model *)&error;
  assert_int_equal(norma_model_load("no_such_file.onnx", NULL, &model, &error), NORMA_ERROR_FILE);
  assert_null(model);
  assert_non_null(strstr(error.message, "no_such_file.onnx"));
  model = (norma_model *)&error;
  assert_int_equal(norma_model_load_memory("\xFF\xFF\xFF", 3, NULL, &model, &error), NORMA_ERROR_FORMAT);
  assert_null(model);
  model = (norma_model *)&error;
  assert_int_equal(norma_model_load_memory("", 0, NULL, &model, &error), NORMA_ERROR_INVALID_MODEL);
  assert_null(model);
  assert_int_equal(norma_model_load(".", NULL, &model, NULL), NORMA_ERROR_FILE);
}

/* -------------------------------------------------------------------------------------------------------- arguments */

static void missing_arguments_are_refused(void **state) {
  (void)state;
  norma_error error;
  norma_model *model;
  assert_int_equal(norma_model_load(NULL, NULL, &model, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_load("x.onnx", NULL, NULL, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_load_memory(NULL, 1, NULL, &model, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_load_memory("x", 1, NULL, NULL, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_load(NULL, NULL, NULL, NULL), NORMA_ERROR_ARGUMENT);
  norma_model_destroy(NULL);
}

/* Options of an older header are shorter: what they do not have is the default. None at all are all defaults. */
static void struct_sizes_are_checked(void **state) {
  (void)state;
  norma_error error;
  norma_model *model;
  size_t size;
  model_builder *b = make_layers();
  const void *bytes = builder_bytes(b, &size);
  struct {
    norma_load_options options;
    char more[16];
  } longer = {.options = {.struct_size = sizeof longer}};
  norma_load_options options = {.struct_size = 0};
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_ERROR_ARGUMENT);
  assert_null(model);
  assert_int_equal(norma_model_load_memory(bytes, size, &longer.options, &model, &error), NORMA_ERROR_ARGUMENT);
  assert_null(model);

  options = (norma_load_options){.struct_size = offsetof(norma_load_options, disabled_passes)};
  options.optimization = NORMA_OPTIMIZE_NONE;
  options.disabled_pass_count = 1000; /* beyond the struct */
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_OK);
  assert_int_equal(model->optimization, NORMA_OPTIMIZE_NONE);
  norma_model_destroy(model);

  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, &error), NORMA_OK);
  assert_int_equal(model->optimization, NORMA_OPTIMIZE_FULL);
  assert_false(model->exact);
  norma_model_destroy(model);
  builder_destroy(b);
}

static void levels_that_do_not_exist(void **state) {
  (void)state;
  norma_error error;
  norma_model *model;
  for (int i = 0; i < 2; i++) {
    norma_load_options options = {.struct_size = sizeof options};
    const int level = i == 0 ? NORMA_OPTIMIZE_FULL + 1 : -1;
    memcpy(&options.optimization, &level, sizeof level);
    assert_int_equal(norma_model_load("x.onnx", &options, &model, &error), NORMA_ERROR_ARGUMENT);
    assert_null(model);
    assert_non_null(strstr(error.message, "level"));
  }
}

/* ----------------------------------------------------------------------------------------------------------- levels */

static int count_nodes(const norma_model *model) {
  int count = 0;
  for (const node *node = model->graph->first; node; node = node->next) count++;
  return count;
}

/* The graph as exported, without what does nothing, with fused operators; passes can be left out one by one. */
static void levels_and_disabled_passes(void **state) {
  static const char *const disabled[] = {"remove_identity", "fuse_activation", "no_such_pass"};
  static const struct {
    norma_optimization level;
    size_t disabled;
    int nodes;
  } cases[] = {{NORMA_OPTIMIZE_NONE, 0, 3}, {NORMA_OPTIMIZE_BASIC, 0, 2},   {NORMA_OPTIMIZE_FULL, 0, 1},
               {NORMA_OPTIMIZE_FULL, 2, 3}, {NORMA_OPTIMIZE_DEFAULT, 0, 1}, {NORMA_OPTIMIZE_BASIC, 1, 3}};
  (void)state;
  norma_error error;
  size_t size;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 2));
  builder_floats(b, "w", 2, DIMS(2, 2), (float[4]){1, 2, 3, 4});
  builder_node(b, "MatMul", "x w", "m");
  builder_node(b, "Identity", "m", "i");
  builder_node(b, "Relu", "i", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    norma_model *model;
    norma_load_options options = {.struct_size = sizeof options, .optimization = cases[i].level};
    options.disabled_passes = disabled;
    options.disabled_pass_count = cases[i].disabled;
    assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_OK);
    assert_int_equal(count_nodes(model), cases[i].nodes);
    norma_model_destroy(model);
  }
  builder_destroy(b);
}

/* Weights that a kernel has packed are kept in their own form as well, if the caller wants that. */
static void constants_are_kept_on_demand(void **state) {
  (void)state;
  norma_error error;
  size_t size;
  model_builder *b = make_layers();
  const void *bytes = builder_bytes(b, &size);
  for (int keep = 0; keep < 2; keep++) {
    norma_model *model;
    norma_load_options options = {.struct_size = sizeof options, .keep_constants = keep};
    assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_OK);
    const graph_value *w = graph_find_value(model->graph, "w");
    assert_non_null(w);
    assert_int_equal(w->constant->tensor.data != NULL, keep);
    if (keep)
      assert_memory_equal(w->constant->tensor.data,
                          graph_find_value(builder_model(b)->graph, "w")->constant->tensor.data,
                          160 * 128 * sizeof(float));
    norma_model_destroy(model);
  }
  builder_destroy(b);
}

/* --------------------------------------------------------------------------------------------------------- runtimes */

/* Several models share a runtime, whose memory they take and give back; without one a model has its own. */
static void models_share_a_runtime(void **state) {
  (void)state;
  norma_error error;
  norma_runtime *runtime;
  norma_model *models[3];
  size_t size;
  model_builder *b = make_layers();
  const void *bytes = builder_bytes(b, &size);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
  const size_t empty = norma_runtime_memory_used(runtime);
  norma_load_options load = {.struct_size = sizeof load, .runtime = runtime};
  for (int i = 0; i < 2; i++) {
    assert_int_equal(norma_model_load_memory(bytes, size, &load, &models[i], &error), NORMA_OK);
  }
  const size_t both = norma_runtime_memory_used(runtime);
  assert_true(both - empty > 2 * 160 * 128 * sizeof(float));
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &models[2], &error), NORMA_OK);
  assert_ptr_not_equal(models[2]->runtime, runtime);
  assert_int_equal(norma_runtime_memory_used(runtime), both);
  norma_model_destroy(models[0]);
  float *y[2] = {run_layers(models[1]), run_layers(models[2])};
  assert_memory_equal(y[0], y[1], 2 * 160 * sizeof(float));
  for (int i = 0; i < 2; i++) free(y[i]);
  norma_model_destroy(models[1]);
  assert_int_equal(norma_runtime_memory_used(runtime), empty);
  norma_runtime_destroy(runtime);
  norma_model_destroy(models[2]);
  builder_destroy(b);
}

/* The runtime's budgets hold for the model. */
static void budgets_of_the_runtime(void **state) {
  (void)state;
  norma_error error;
  model_files files;
  files_open(&files, make_layers());
  for (int i = 0; i < 2; i++) {
    norma_runtime *runtime;
    norma_model *model;
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
    if (i == 0) options.max_nodes = 1;
    if (i == 1) options.max_memory_bytes = 128 * 160 * sizeof(float);
    assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
    const size_t empty = norma_runtime_memory_used(runtime);
    norma_load_options load = {.struct_size = sizeof load, .runtime = runtime};
    assert_int_equal(norma_model_load(files.path, &load, &model, &error), NORMA_ERROR_BUDGET);
    assert_null(model);
    assert_int_equal(norma_runtime_memory_used(runtime), empty);
    norma_runtime_destroy(runtime);
  }
  files_close(&files);
}

/* ----------------------------------------------------------------------------------------------- inputs and outputs */

static void inputs_and_outputs_are_described(void **state) {
  (void)state;
  const value_info tensor = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_INT8, .shape = {.rank = 1, .dims = {7}}};
  const value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .item = &tensor};
  const value_info optional = {.kind = NORMA_VALUE_OPTIONAL, .item = &sequence};
  static const char *const overridable[] = {"free"};
  norma_error error;
  norma_model *model;
  norma_value_info info;
  size_t size;
  model_builder *b = builder_create(17);
  graph_value *x = builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, -1));
  builder_dim_name(b, x, 0, "batch");
  builder_input(b, "fixed", NORMA_FLOAT, 0, NULL);
  builder_floats(b, "fixed", 0, NULL, (float[1]){1});
  builder_input(b, "free", NORMA_DOUBLE, 1, DIMS(2));
  builder_initializer(b, "free", NORMA_DOUBLE, 1, DIMS(2), (double[2]){1, 2});
  builder_input(b, "any", NORMA_STRING, -1, NULL);
  builder_input_info(b, "list", &sequence);
  builder_input_info(b, "perhaps", &optional);
  builder_node(b, "Add", "x fixed", "y");
  builder_output(b, "y", NORMA_FLOAT, 3, DIMS(-1, 3, -1));
  builder_output(b, "list", NORMA_UNDEFINED, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, 3, DIMS(-1, 3, -1));
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .overridable = overridable, .overridable_count = 1};
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_OK);

  assert_int_equal(norma_model_input_count(model), 5); /* without the constant one */
  assert_int_equal(norma_model_input(model, 0, &info), NORMA_OK);
  assert_string_equal(info.name, "x");
  assert_int_equal(info.kind, NORMA_VALUE_TENSOR);
  assert_int_equal(info.type, NORMA_FLOAT);
  assert_int_equal(info.rank, 3);
  assert_int_equal(info.dims[0], -1);
  assert_int_equal(info.dims[1], 3);
  assert_string_equal(info.dim_names[0], "batch");
  assert_null(info.dim_names[1]);
  assert_null(info.dim_names[2]);
  assert_false(info.optional);
  assert_int_equal(norma_model_input(model, 1, &info), NORMA_OK);
  assert_string_equal(info.name, "free");
  assert_int_equal(info.type, NORMA_DOUBLE);
  assert_true(info.optional);
  assert_int_equal(norma_model_input(model, 2, &info), NORMA_OK);
  assert_string_equal(info.name, "any");
  assert_int_equal(info.type, NORMA_STRING);
  assert_int_equal(info.rank, -1);
  assert_int_equal(norma_model_input(model, 3, &info), NORMA_OK);
  assert_int_equal(info.kind, NORMA_VALUE_SEQUENCE); /* with what its elements are */
  assert_int_equal(info.type, NORMA_INT8);
  assert_int_equal(info.rank, 1);
  assert_int_equal(info.dims[0], 7);
  assert_false(info.optional);
  assert_int_equal(norma_model_input(model, 4, &info), NORMA_OK);
  assert_int_equal(info.kind, NORMA_VALUE_OPTIONAL);
  assert_int_equal(info.type, NORMA_INT8);
  assert_true(info.optional);

  assert_int_equal(norma_model_output_count(model), 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(norma_model_output(model, i, &info), NORMA_OK);
    assert_string_equal(info.name, i == 1 ? "list" : "y");
    assert_int_equal(info.kind, i == 1 ? NORMA_VALUE_SEQUENCE : NORMA_VALUE_TENSOR);
  }
  assert_int_equal(norma_model_input(model, 5, &info), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_input(model, SIZE_MAX, &info), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_input(model, 0, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_output(model, 3, &info), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_output(model, 0, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_input_count(NULL) + norma_model_output_count(NULL), 0);
  assert_int_equal(norma_model_input(NULL, 0, &info), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_output(NULL, 0, &info), NORMA_ERROR_ARGUMENT);
  norma_model_destroy(model);
  builder_destroy(b);
}

/* An initializer that is an input as well is constant unless it is named; then a run may bring another. */
static void initializers_may_be_overridden_by_name(void **state) {
  (void)state;
  static const char *const names[] = {"w", "nothing"};
  norma_error error;
  size_t size;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(2));
  builder_input(b, "w", NORMA_FLOAT, 1, DIMS(2));
  builder_floats(b, "w", 1, DIMS(2), (float[]){10, 20});
  builder_node(b, "Add", "x w", "y");
  builder_output(b, "y", NORMA_FLOAT, 1, DIMS(2));
  const void *bytes = builder_bytes(b, &size);
  for (int named = 0; named <= 1; named++) {
    norma_model *model;
    norma_session *session;
    norma_load_options options = {.struct_size = sizeof options, .overridable = names};
    options.overridable_count = (size_t)named;
    assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_OK);
    assert_int_equal(norma_model_input_count(model), 1 + named);
    assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
    float x[2] = {1, 2}, w[2] = {-1, -1};
    norma_tensor tensor;
    norma_tensor_init(&tensor, NORMA_FLOAT, 1, DIMS(2), x);
    assert_int_equal(norma_session_set_input(session, "x", &tensor, &error), NORMA_OK);
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    const float *y = norma_value_tensor(norma_session_output(session, 0))->data;
    assert_true(y[0] == 11 && y[1] == 22);
    norma_tensor_init(&tensor, NORMA_FLOAT, 1, DIMS(2), w);
    norma_status status = norma_session_set_input(session, "w", &tensor, &error);
    assert_int_equal(status, named ? NORMA_OK : NORMA_ERROR_ARGUMENT);
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    y = norma_value_tensor(norma_session_output(session, 0))->data;
    assert_true(y[0] == (named ? 0 : 11) && y[1] == (named ? 1 : 22));
    norma_session_destroy(session);
    norma_model_destroy(model);
  }
  norma_model *model;
  norma_load_options options = {.struct_size = sizeof options, .overridable = names, .overridable_count = 2};
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(error.message, "'nothing'"));
  builder_destroy(b);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status load_file(void *context, const norma_allocator *allocator, norma_error *error) {
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_load_options load = {.struct_size = sizeof load};
  norma_status status = norma_runtime_create(&options, &runtime, error);
  load.runtime = runtime;
  if (status == NORMA_OK) status = norma_model_load(context, &load, &model, error);
  if (status != NORMA_OK) assert_null(model);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_files files;
  files_open(&files, make_layers());
  assert_int_equal(fail_each_allocation(load_file, files.path), 0);
  files_close(&files);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_source_gives_the_same),
      cmocka_unit_test(sources_may_go),
      cmocka_unit_test(what_is_no_model),
      cmocka_unit_test(missing_arguments_are_refused),
      cmocka_unit_test(struct_sizes_are_checked),
      cmocka_unit_test(levels_that_do_not_exist),
      cmocka_unit_test(levels_and_disabled_passes),
      cmocka_unit_test(constants_are_kept_on_demand),
      cmocka_unit_test(models_share_a_runtime),
      cmocka_unit_test(budgets_of_the_runtime),
      cmocka_unit_test(inputs_and_outputs_are_described),
      cmocka_unit_test(initializers_may_be_overridden_by_name),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Weights that are read when they are packed: the same results as of weights that are read at once, from a file, from a
 * mapped file and from memory; memory while loading; files that change under the hand; factors that lose digits. */
#include "tests/support/counting_allocator.h"
#include "tests/support/model_builder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CHANNELS 72
#define CLASSES  190

static float *numbers(size_t count, float factor) {
  float *made = malloc(count * sizeof *made);
  uint32_t state = 12345;
  for (size_t i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    made[i] = factor * ((float)(state >> 8) * 0x1p-23f - 1);
  }
  return made;
}

static void add_numbers(model_builder *b, const char *name, int rank, const int64_t *dims, float factor) {
  size_t count = 1;
  for (int i = 0; i < rank; i++) count *= (size_t)dims[i];
  float *data = numbers(count, factor);
  builder_floats(b, name, rank, dims, data);
  free(data);
}

static void add_normalization(model_builder *b, const char *input, const char *output, float scale) {
  float scales[CHANNELS], zeros[CHANNELS] = {0}, ones[CHANNELS];
  for (int i = 0; i < CHANNELS; i++) scales[i] = scale * (float)(i + 1) / CHANNELS, ones[i] = 1;
  int64_t dims[1] = {CHANNELS};
  char names[200], list[260];
  const float *vectors[4] = {scales, zeros, zeros, ones};
  int used = snprintf(list, sizeof list, "%s", input);
  for (int i = 0; i < 4; i++) {
    snprintf(names, sizeof names, "%s.%d", output, i);
    builder_floats(b, names, 1, dims, vectors[i]);
    used += snprintf(list + used, sizeof list - (size_t)used, " %s", names);
  }
  builder_node(b, "BatchNormalization", list, output);
}

/* A 3x3, a grouped and a 1x1 convolution, each with a BatchNormalization, then Gemm and MatMul. */
static model_builder *make_network(int64_t batch, float scale, float second_scale) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){batch, CHANNELS, 6, 6});
  add_numbers(b, "w1", 4, (int64_t[]){CHANNELS, CHANNELS, 3, 3}, 0.05f);
  add_numbers(b, "w2", 4, (int64_t[]){CHANNELS, CHANNELS, 2, 2}, 0.05f);
  add_numbers(b, "w3", 4, (int64_t[]){CHANNELS, CHANNELS / 2, 3, 3}, 0.05f);
  add_numbers(b, "w4", 2, (int64_t[]){CLASSES, CHANNELS * 9}, 0.05f);
  add_numbers(b, "w5", 2, (int64_t[]){CLASSES, 130}, 0.05f);
  builder_ints(builder_node(b, "Conv", "x w1", "c1"), "pads", 4, (int64_t[]){1, 1, 1, 1});
  add_normalization(b, "c1", "n1", scale);
  builder_node(b, "Relu", "n1", "r1");
  builder_ints(builder_node(b, "Conv", "r1 w2", "c2"), "strides", 2, (int64_t[]){2, 2});
  add_normalization(b, "c2", "n2", second_scale);
  node *grouped = builder_node(b, "Conv", "n2 w3", "c3");
  builder_ints(grouped, "pads", 4, (int64_t[]){1, 1, 1, 1});
  builder_int(grouped, "group", 2);
  builder_node(b, "Flatten", "c3", "f");
  builder_int(builder_node(b, "Gemm", "f w4", "g"), "transB", 1);
  builder_node(b, "MatMul", "g w5", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

enum source { FROM_MEMORY, FROM_FILE, FROM_MAPPED_FILE };

static norma_runtime *make_runtime(const norma_allocator *allocator, size_t limit) {
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .max_memory_bytes = limit};
  norma_runtime *runtime;
  norma_error error;
  if (allocator) options.allocator = *allocator;
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) fail_msg("%s", error.message);
  return runtime;
}

static const char *write_file(const void *bytes, size_t size) {
  static char path[] = "/tmp/norma_test_deferred.XXXXXX";
  memcpy(path + sizeof path - 7, "XXXXXX", 6);
  int file = mkstemp(path);
  assert_true(file >= 0);
  assert_int_equal(write(file, bytes, size), (ssize_t)size);
  close(file);
  return path;
}

static norma_status load_from(model_builder *b, enum source source, norma_runtime *runtime, bool keep,
                              norma_model **model, norma_error *error) {
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .keep_constants = keep};
  options.denormals = NORMA_DENORMALS_KEEP;
  options.map_file = source == FROM_MAPPED_FILE;
  if (source == FROM_MEMORY) {
    void *copy = malloc(size); /* gone when the model is loaded */
    memcpy(copy, bytes, size);
    norma_status status = norma_model_load_memory(copy, size, &options, model, error);
    memset(copy, 0xff, size);
    free(copy);
    return status;
  }
  const char *path = write_file(bytes, size);
  norma_status status = norma_model_load(path, &options, model, error);
  unlink(path);
  return status;
}

static void run_batch(norma_session *session, int64_t batch, float *y) {
  float *x = numbers((size_t)batch * CHANNELS * 36, 1);
  int64_t dims[4] = {batch, CHANNELS, 6, 6};
  norma_tensor tensor;
  norma_error error;
  norma_tensor_init(&tensor, NORMA_FLOAT, 4, dims, x);
  norma_session_clear_inputs(session);
  if (norma_session_set_input(session, "x", &tensor, &error) != NORMA_OK ||
      norma_session_run(session, &error) != NORMA_OK) {
    fail_msg("%s", error.message);
  }
  const norma_tensor *result = norma_value_tensor(norma_session_output(session, 0));
  assert_int_equal(result->size_bytes, (size_t)batch * 130 * sizeof(float));
  memcpy(y, result->data, result->size_bytes);
  free(x);
}

/* Results of batches of 1, 3 and (where the model takes them) 1 again. */
static void results_of(model_builder *b, enum source source, bool keep, int64_t fixed, float y[5 * 130]) {
  norma_runtime *runtime = make_runtime(NULL, 0);
  norma_model *model;
  norma_session *session = NULL;
  norma_error error;
  if (load_from(b, source, runtime, keep, &model, &error) != NORMA_OK ||
      norma_session_create(model, NULL, &session, &error) != NORMA_OK) {
    fail_msg("%s", error.message);
  }
  memset(y, 0, 5 * 130 * sizeof(float));
  run_batch(session, fixed > 0 ? fixed : 1, y);
  if (fixed < 0) run_batch(session, 3, y + 130), run_batch(session, 1, y + 4 * 130);
  norma_session_destroy(session);
  norma_model_destroy(model);
  assert_true(norma_runtime_memory_used(runtime) > 0);
  norma_runtime_destroy(runtime);
}

static void same_results_however_weights_are_read(void **state) {
  (void)state;
  for (int64_t batch = -1; batch <= 2; batch += 3) {
    model_builder *b = make_network(batch, 0.7f, 1);
    float expected[5 * 130], y[5 * 130];
    results_of(b, FROM_MEMORY, true, batch, expected);
    assert_true(isfinite(expected[0]) && expected[0] != 0);
    for (int source = FROM_MEMORY; source <= FROM_MAPPED_FILE; source++) {
      results_of(b, (enum source)source, false, batch, y);
      assert_memory_equal(y, expected, sizeof y);
    }
    builder_destroy(b);
  }
}

/* Weights, packed, and what is read at a time; not the weights twice, and no more where the batch is open. */
static void loading_takes_little_more_than_what_is_packed(void **state) {
  size_t open_batch[3] = {0};
  (void)state;
  for (int64_t batch = -1; batch <= 2; batch += 3) {
    model_builder *b = make_network(batch, 0.7f, 1);
    for (int source = FROM_MEMORY; source <= FROM_MAPPED_FILE; source++) {
      norma_runtime *runtime = make_runtime(NULL, 0);
      norma_model *model;
      norma_error error;
      assert_int_equal(load_from(b, (enum source)source, runtime, false, &model, &error), NORMA_OK);
      size_t used = norma_runtime_memory_used(runtime), peak = norma_runtime_memory_peak(runtime);
      if (peak > used + (400 << 10)) fail_msg("%zu bytes while loading, %zu after", peak, used);
      if (batch < 0) open_batch[source] = used;
      if (open_batch[source] > used + 4096) fail_msg("%zu bytes with an open batch, %zu", open_batch[source], used);
      norma_model_destroy(model);
      norma_runtime_destroy(runtime);
      runtime = make_runtime(NULL, peak);
      assert_int_equal(load_from(b, (enum source)source, runtime, false, &model, &error), NORMA_OK);
      norma_model_destroy(model);
      norma_runtime_destroy(runtime);
      runtime = make_runtime(NULL, peak - 1);
      assert_int_equal(load_from(b, (enum source)source, runtime, false, &model, &error), NORMA_ERROR_BUDGET);
      norma_runtime_destroy(runtime);
    }
    builder_destroy(b);
  }
}

/* Factors that make some and all weights denormal are applied behind the layer, where numbers may be denormal, which
 * makes a difference of their last digits. A factor of 0 loses nothing. */
static void factors_that_lose_digits_are_not_applied(void **state) {
  (void)state;
  static const float scales[][2] = {{1e-38f, 1e30f}, {1e-36f, 1e30f}, {0, 1}};
  for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
    model_builder *b = make_network(1, scales[i][0], scales[i][1]);
    float expected[5 * 130], y[5 * 130];
    results_of(b, FROM_FILE, true, 1, expected);
    results_of(b, FROM_FILE, false, 1, y);
    assert_true(isfinite(y[0]) && (y[0] != 0 || scales[i][0] == 0));
    float largest = 0, error = 0;
    for (int k = 0; k < 130; k++)
      largest = fmaxf(largest, fabsf(expected[k])), error = fmaxf(error, fabsf(y[k] - expected[k]));
    assert_true(error <= (i == 0 ? 0x1p-20f * largest : 0));
    builder_destroy(b);
  }
}

static void each_allocation_fails(void **state) {
  (void)state;
  model_builder *b = make_network(-1, 1e-38f, 1); /* which is loaded twice */
  for (int source = FROM_MEMORY; source <= FROM_MAPPED_FILE; source++) {
    for (long k = 1;; k++) {
      counting_allocator counting = {.fail_at = k};
      norma_allocator allocator = counting_allocator_functions(&counting);
      norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = allocator};
      norma_runtime *runtime = NULL;
      norma_model *model = NULL;
      norma_error error = {0};
      norma_status status = norma_runtime_create(&options, &runtime, &error);
      if (status == NORMA_OK) status = load_from(b, (enum source)source, runtime, false, &model, &error);
      norma_model_destroy(model);
      norma_runtime_destroy(runtime);
      assert_int_equal(atomic_load(&counting.outstanding), 0);
      if (atomic_load(&counting.failures) == 0) {
        assert_int_equal(status, NORMA_OK);
        assert_true(k > 20);
        break;
      }
      if (status != NORMA_ERROR_OUT_OF_MEMORY) fail_msg("allocation %ld: %d %s", k, (int)status, error.message);
    }
  }
  builder_destroy(b);
}

/* An allocator that cuts the model's file when weights are packed, the first large blocks. */
typedef struct cutter {
  const char *path;
  bool done;
} cutter;

static void *cutting_allocate(void *context, size_t size, size_t alignment) {
  cutter *cutter = context;
  if (size > (100 << 10) && !cutter->done) {
    cutter->done = true;
    assert_int_equal(truncate(cutter->path, 1000), 0);
  }
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void cutting_deallocate(void *context, void *block, size_t size) {
  (void)context;
  (void)size;
  free(block);
}

static void file_that_becomes_shorter(void **state) {
  (void)state;
  model_builder *b = make_network(1, 1, 1);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  cutter cutter = {.path = write_file(bytes, size)};
  norma_allocator allocator = {cutting_allocate, cutting_deallocate, &cutter};
  norma_runtime *runtime = make_runtime(&allocator, 0);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  options.denormals = NORMA_DENORMALS_KEEP;
  norma_model *model;
  norma_error error;
  assert_int_equal(norma_model_load(cutter.path, &options, &model, &error), NORMA_ERROR_FILE);
  assert_true(cutter.done);
  assert_non_null(strstr(error.message, "shorter"));
  assert_null(model);
  norma_runtime_destroy(runtime);
  unlink(cutter.path);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_results_however_weights_are_read),
      cmocka_unit_test(loading_takes_little_more_than_what_is_packed),
      cmocka_unit_test(factors_that_lose_digits_are_not_applied),
      cmocka_unit_test(each_allocation_fails),
      cmocka_unit_test(file_that_becomes_shorter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

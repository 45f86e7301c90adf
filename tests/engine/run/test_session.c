/* What norma.h promises of sessions, on the digit models. */
#include "tests/support/counting_allocator.h"
#include "tests/support/model_builder.h"
#include "tests/support/model_run.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const norma_optimization levels[] = {NORMA_OPTIMIZE_NONE, NORMA_OPTIMIZE_BASIC, NORMA_OPTIMIZE_FULL};
static const char *const digit_models[] = {DIGITS_BN, DIGITS_FOLDED, DIGITS_DYNAMO, DIGITS_MLP};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static norma_status set_batch(norma_session *session, float *pictures, int64_t count) {
  norma_session_clear_inputs(session);
  set_pictures(session, pictures, count);
  return NORMA_OK;
}

static void second_run_allocates_nothing(void **state) {
  (void)state;
  float *pictures = make_pictures(5, 1);
  for (size_t m = 0; m < COUNT_OF(digit_models); m++) {
    for (size_t l = 0; l < COUNT_OF(levels); l++) {
      for (int threads = 1; threads <= 2; threads++) {
        counting_allocator counting = {0};
        norma_allocator allocator = counting_allocator_functions(&counting);
        loaded_model loaded = load_model(digit_models[m], levels[l], threads, &allocator);
        set_pictures(loaded.session, pictures, 5);
        run_model(loaded.session);
        long before = atomic_load(&counting.allocations);
        assert_true(before > 0);
        run_model(loaded.session);
        run_model(loaded.session);
        assert_int_equal(atomic_load(&counting.allocations), before);
        free_model(&loaded);
        assert_int_equal(atomic_load(&counting.outstanding), 0);
      }
    }
  }
  free(pictures);
}

static void prepared_run_allocates_nothing(void **state) {
  (void)state;
  counting_allocator counting = {0};
  norma_allocator allocator = counting_allocator_functions(&counting);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, &allocator);
  float *pictures = make_pictures(3, 2);
  norma_error error;
  set_pictures(loaded.session, pictures, 3);
  assert_int_equal(norma_session_prepare(loaded.session, &error), NORMA_OK);
  long before = atomic_load(&counting.allocations);
  run_model(loaded.session);
  assert_int_equal(atomic_load(&counting.allocations), before);
  free_model(&loaded);
  free(pictures);
}

/* The size is asked for in one session; another one runs in a buffer of exactly that size, and not in a smaller one. */
static void arena_of_the_caller(void **state) {
  (void)state;
  float *pictures = make_pictures(4, 3);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 2, NULL);
  norma_error error;
  set_pictures(loaded.session, pictures, 4);
  assert_int_equal(norma_session_arena_bytes(loaded.session), 0);
  assert_int_equal(norma_session_prepare(loaded.session, &error), NORMA_OK);
  assert_true(norma_session_is_static(loaded.session));
  size_t bytes = norma_session_arena_bytes(loaded.session);
  assert_true(bytes > 0);
  const norma_tensor *expected = run_model(loaded.session);
  assert_int_equal(norma_session_arena_bytes(loaded.session), bytes);

  for (size_t missing = 0; missing <= 64; missing += 64) {
    void *arena = aligned_alloc(64, bytes + 64);
    memset(arena, 0xA5, bytes + 64);
    norma_session_options options = {.struct_size = sizeof options};
    options.arena = arena;
    options.arena_bytes = bytes - missing;
    norma_session *session;
    assert_int_equal(norma_session_create(loaded.model, &options, &session, &error), NORMA_OK);
    set_pictures(session, pictures, 4);
    if (missing) {
      assert_int_equal(norma_session_run(session, &error), NORMA_ERROR_BUDGET);
    } else {
      const norma_tensor *output = run_model(session);
      assert_true((char *)output->data >= (char *)arena && (char *)output->data < (char *)arena + bytes);
      assert_memory_equal(output->data, expected->data, expected->size_bytes);
      for (int i = 0; i < 64; i++) assert_int_equal(((unsigned char *)arena)[bytes + (size_t)i], 0xA5);
    }
    norma_session_destroy(session);
    free(arena);
  }
  free_model(&loaded);
  free(pictures);
}

static void bound_output(void **state) {
  (void)state;
  float *pictures = make_pictures(2, 4);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
  norma_error error;
  set_pictures(loaded.session, pictures, 2);
  float expected[2 * DIGIT_CLASSES];
  memcpy(expected, run_model(loaded.session)->data, sizeof expected);
  float *buffer = aligned_alloc(64, 128);
  assert_int_equal(norma_session_bind_output(loaded.session, 0, buffer, sizeof expected, &error), NORMA_OK);
  const norma_tensor *output = run_model(loaded.session);
  assert_ptr_equal(output->data, buffer);
  assert_memory_equal(buffer, expected, sizeof expected);
  assert_int_equal(norma_session_bind_output(loaded.session, 0, buffer, sizeof expected - 4, &error), NORMA_OK);
  assert_int_equal(norma_session_run(loaded.session, &error), NORMA_ERROR_BUDGET);
  assert_non_null(strstr(error.message, "does not fit"));
  assert_int_equal(norma_session_bind_output(loaded.session, 0, NULL, 0, &error), NORMA_OK);
  assert_memory_equal(run_model(loaded.session)->data, expected, sizeof expected);
  assert_int_equal(norma_session_bind_output(loaded.session, 1, buffer, 64, &error), NORMA_ERROR_ARGUMENT);
  free(buffer);
  free_model(&loaded);
  free(pictures);
}

/* What the next run will give is known once its plan is made, and not before. */
static void planned_output(void **state) {
  (void)state;
  float *pictures = make_pictures(3, 6);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
  norma_error error;
  norma_tensor planned;
  assert_int_equal(norma_session_planned_output(loaded.session, 0, &planned), NORMA_ERROR_INPUT);
  for (int64_t batch = 3; batch > 0; batch -= 2) {
    set_batch(loaded.session, pictures, batch);
    assert_int_equal(norma_session_planned_output(loaded.session, 0, &planned), NORMA_ERROR_INPUT);
    assert_int_equal(norma_session_prepare(loaded.session, &error), NORMA_OK);
    assert_int_equal(norma_session_planned_output(loaded.session, 0, &planned), NORMA_OK);
    assert_null(planned.data);
    const norma_tensor *output = run_model(loaded.session);
    assert_int_equal(planned.type, output->type);
    assert_int_equal(planned.rank, output->rank);
    for (int i = 0; i < planned.rank; i++) assert_int_equal(planned.dims[i], output->dims[i]);
    assert_int_equal(planned.size_bytes, output->size_bytes);
  }
  assert_int_equal(norma_session_planned_output(loaded.session, 1, &planned), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_planned_output(loaded.session, 0, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_planned_output(NULL, 0, &planned), NORMA_ERROR_ARGUMENT);
  free_model(&loaded);
  free(pictures);
}

/* More shapes than the cache of plans holds, in an order that evicts and returns. */
static void dynamic_batch(void **state) {
  (void)state;
  static const int64_t batches[] = {1, 5, 1, 2, 3, 7, 4, 1, 6, 5, 7, 2};
  float *pictures = make_pictures(7, 5);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
  for (size_t i = 0; i < COUNT_OF(batches); i++) {
    set_batch(loaded.session, pictures, batches[i]);
    const norma_tensor *output = run_model(loaded.session);
    assert_int_equal(output->dims[0], batches[i]);
    loaded_model fresh = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
    set_pictures(fresh.session, pictures, batches[i]);
    assert_memory_equal(run_model(fresh.session)->data, output->data, output->size_bytes);
    free_model(&fresh);
  }
  free_model(&loaded);
  free(pictures);
}

/* Keys that grow by a row with each run, as in a decoder: shapes are computed, and some are the same each time. */
static norma_model *load_cache_model(void) {
  model_builder *b = builder_create(17);
  float weights[8 * 8];
  size_t size;
  norma_model *model;
  norma_error error;
  for (int i = 0; i < 64; i++) weights[i] = (float)(i % 13 - 6) / 8;
  builder_input(b, "x", NORMA_FLOAT, 3, (int64_t[]){1, -1, 8});
  builder_input(b, "past", NORMA_FLOAT, 3, (int64_t[]){1, -1, 8});
  builder_floats(b, "w", 2, (int64_t[]){8, 8}, weights);
  builder_ints64(b, "heads", 1, (int64_t[]){2}, (int64_t[]){2, 4});
  builder_ints64(b, "two", 1, (int64_t[]){1}, (int64_t[]){2});
  builder_ints64(b, "zero", 1, (int64_t[]){1}, (int64_t[]){0});
  builder_node(b, "MatMul", "x w", "q");
  builder_node(b, "MatMul", "x w", "k");
  builder_int(builder_node(b, "Concat", "past k", "present"), "axis", 1);
  builder_node(b, "Shape", "q", "q_shape");
  builder_node(b, "Slice", "q_shape zero two", "q_front");
  builder_int(builder_node(b, "Concat", "q_front heads", "q_heads"), "axis", 0);
  builder_node(b, "Reshape", "q q_heads", "q_apart");
  builder_node(b, "Shape", "present", "k_shape");
  builder_node(b, "Slice", "k_shape zero two", "k_front");
  builder_int(builder_node(b, "Concat", "k_front heads", "k_heads"), "axis", 0);
  builder_node(b, "Reshape", "present k_heads", "k_apart");
  builder_ints(builder_node(b, "Transpose", "q_apart", "a"), "perm", 4, (int64_t[]){0, 2, 1, 3});
  builder_ints(builder_node(b, "Transpose", "k_apart", "b"), "perm", 4, (int64_t[]){0, 2, 3, 1});
  builder_node(b, "MatMul", "a b", "scores");
  builder_int(builder_node(b, "Softmax", "scores", "y"), "axis", -1);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "present", NORMA_FLOAT, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  if (norma_model_load_memory(bytes, size, NULL, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  builder_destroy(b);
  return model;
}

static void run_cache_model(norma_session *session, float *numbers, int64_t rows, int64_t past) {
  norma_tensor x, cache;
  norma_error error;
  norma_tensor_init(&x, NORMA_FLOAT, 3, (int64_t[]){1, rows, 8}, numbers);
  norma_tensor_init(&cache, NORMA_FLOAT, 3, (int64_t[]){1, past, 8}, numbers + 8);
  assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "past", &cache, &error), NORMA_OK);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
}

/* Plans that follow others give the results of those that do not. */
static void a_cache_that_grows(void **state) {
  (void)state;
  enum { MOST = 60 };
  float numbers[8 * (MOST + 8)];
  norma_error error;
  norma_session *session, *fresh;
  for (int i = 0; i < 8 * (MOST + 8); i++) numbers[i] = (float)(i * 37 % 101 - 50) / 50;
  norma_model *model = load_cache_model();
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  for (int64_t past = 0; past < MOST; past++) {
    const int64_t rows = past % 10 == 7 ? 3 : 1;
    run_cache_model(session, numbers, rows, past);
    assert_int_equal(norma_session_create(model, NULL, &fresh, &error), NORMA_OK);
    run_cache_model(fresh, numbers, rows, past);
    for (size_t i = 0; i < 2; i++) {
      const norma_tensor *found = norma_value_tensor(norma_session_output(session, i));
      const norma_tensor *expected = norma_value_tensor(norma_session_output(fresh, i));
      assert_int_equal(found->size_bytes, expected->size_bytes);
      assert_memory_equal(found->dims, expected->dims, (size_t)expected->rank * sizeof(int64_t));
      assert_memory_equal(found->data, expected->data, expected->size_bytes);
    }
    norma_session_destroy(fresh);
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
}

/* An arena grows by more than is asked for, so that it need not grow with each run. */
static void arenas_grow_in_steps(void **state) {
  (void)state;
  enum { MOST = 200 };
  float numbers[8 * (MOST + 8)] = {0};
  norma_error error;
  norma_session *session;
  norma_model *model = load_cache_model();
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  size_t bytes = 0, changes = 0;
  for (int64_t past = 50; past < MOST; past++) {
    norma_session_memory_info info = {.struct_size = sizeof info};
    run_cache_model(session, numbers, 1, past);
    assert_int_equal(norma_session_memory(session, &info), NORMA_OK);
    assert_true(info.arena_bytes >= info.needed_bytes);
    if (past == 50) assert_int_equal(info.arena_bytes, info.needed_bytes);
    changes += info.arena_bytes != bytes;
    bytes = info.arena_bytes;
  }
  assert_in_range(changes, 2, 9);
  norma_session_destroy(session);
  norma_model_destroy(model);
}

static void same_bits_for_all_threads_and_batches(void **state) {
  (void)state;
  static const int threads[] = {1, 2, 3, 7};
  static const int64_t batches[] = {2, 5, 64};
  float *pictures = make_pictures(64, 6);
  for (size_t m = 0; m < COUNT_OF(digit_models); m++) {
    for (size_t l = 0; l < COUNT_OF(levels); l++) {
      loaded_model alone = load_model(digit_models[m], levels[l], 1, NULL);
      float expected[64][DIGIT_CLASSES];
      for (int i = 0; i < 64; i++) {
        set_batch(alone.session, pictures + i * PICTURE_ELEMENTS, 1);
        memcpy(expected[i], run_model(alone.session)->data, sizeof expected[i]);
      }
      free_model(&alone);
      for (size_t t = 0; t < COUNT_OF(threads); t++) {
        loaded_model loaded = load_model(digit_models[m], levels[l], threads[t], NULL);
        for (size_t b = 0; b < COUNT_OF(batches); b++) {
          set_batch(loaded.session, pictures, batches[b]);
          for (int run = 0; run < 3; run++) {
            assert_memory_equal(run_model(loaded.session)->data, expected, (size_t)batches[b] * sizeof expected[0]);
          }
        }
        free_model(&loaded);
      }
    }
  }
  free(pictures);
}

static void empty_batch(void **state) {
  (void)state;
  for (size_t l = 0; l < COUNT_OF(levels); l++) {
    loaded_model loaded = load_model(DIGITS_BN, levels[l], 2, NULL);
    float none;
    set_pictures(loaded.session, &none, 0);
    const norma_tensor *output = run_model(loaded.session);
    assert_int_equal(output->dims[0], 0);
    assert_int_equal(output->dims[1], DIGIT_CLASSES);
    free_model(&loaded);
  }
}

/* ----------------------------------------------------------------------------------------------------- wrong inputs */

static void expect_input_error(norma_session *session, const char *name, norma_element_type type, int rank,
                               const int64_t *dims, norma_status expected, const char *part) {
  static float data[4096];
  norma_tensor tensor;
  norma_error error;
  assert_int_equal(norma_tensor_init(&tensor, type, rank, dims, data), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, name, &tensor, &error), expected);
  assert_int_equal(error.status, expected);
  if (!strstr(error.message, part)) fail_msg("'%s' does not contain '%s'", error.message, part);
}

static void wrong_inputs(void **state) {
  (void)state;
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
  static const int64_t right[4] = {1, 1, 8, 8}, wide[4] = {1, 1, 8, 9}, flat[1] = {64};
  norma_error error;
  expect_input_error(loaded.session, "nothing", NORMA_FLOAT, 4, right, NORMA_ERROR_ARGUMENT, "no input 'nothing'");
  expect_input_error(loaded.session, "picture", NORMA_INT32, 4, right, NORMA_ERROR_INPUT, "int32, expected float");
  expect_input_error(loaded.session, "picture", NORMA_FLOAT, 4, wide, NORMA_ERROR_INPUT, "1x1x8x9, expected ?x1x8x8");
  expect_input_error(loaded.session, "picture", NORMA_FLOAT, 1, flat, NORMA_ERROR_INPUT, "64, expected ?x1x8x8");
  assert_int_equal(norma_session_run(loaded.session, &error), NORMA_ERROR_INPUT);
  assert_string_equal(error.value, "picture");
  assert_non_null(strstr(error.message, "input 'picture' is not set: expected float of shape ?x1x8x8"));
  assert_null(norma_session_output(loaded.session, 0));
  float *pictures = make_pictures(1, 7);
  set_pictures(loaded.session, pictures, 1);
  norma_tensor extra = *run_model(loaded.session);
  assert_int_equal(norma_session_set_input(loaded.session, NULL, &extra, &error), NORMA_ERROR_ARGUMENT);
  free_model(&loaded);
  free(pictures);
}

/* ---------------------------------------------------------------------------------------------- values and profiles */

typedef struct visit_count {
  int count;
  bool saw_output;
} visit_count;

static void count_value(void *context, const char *name, const norma_value *value) {
  visit_count *visits = context;
  visits->count++;
  assert_int_equal(norma_value_get_kind(value), NORMA_VALUE_TENSOR);
  if (strcmp(name, "probabilities") == 0) visits->saw_output = true;
}

static void watched_values(void **state) {
  (void)state;
  float *pictures = make_pictures(2, 8);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_NONE, 1, NULL);
  norma_error error;
  set_pictures(loaded.session, pictures, 2);
  float expected[2 * DIGIT_CLASSES];
  memcpy(expected, run_model(loaded.session)->data, sizeof expected);
  assert_int_equal(norma_session_watch(loaded.session, "no such value", &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_watch(loaded.session, "*", &error), NORMA_OK);
  assert_memory_equal(run_model(loaded.session)->data, expected, sizeof expected);
  visit_count visits = {0};
  norma_session_visit_values(loaded.session, count_value, &visits);
  assert_int_equal(visits.count, 14); /* one output for each of the 14 nodes */
  assert_true(visits.saw_output);
  assert_memory_equal(norma_value_tensor(norma_session_value(loaded.session, "probabilities"))->data, expected,
                      sizeof expected);
  assert_non_null(norma_session_value(loaded.session, "picture"));
  free_model(&loaded);
  free(pictures);
}

static void profile_names_nodes(void **state) {
  (void)state;
  float *pictures = make_pictures(1, 9);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_NONE, 1, NULL);
  norma_session_options options = {.struct_size = sizeof options};
  options.profile = true;
  norma_session *session;
  norma_error error;
  assert_int_equal(norma_session_create(loaded.model, &options, &session, &error), NORMA_OK);
  set_pictures(session, pictures, 1);
  for (int i = 0; i < 3; i++) run_model(session);
  assert_int_equal(norma_session_profile_count(session), 14);
  bool saw_bn = false;
  for (size_t i = 0; i < 14; i++) {
    norma_profile_entry entry;
    assert_int_equal(norma_session_profile(session, i, &entry), NORMA_OK);
    assert_true(entry.runs == 3 || entry.runs == 0); /* views are not run */
    saw_bn |= strcmp(entry.node, "/block1/bn/BatchNormalization") == 0;
  }
  assert_true(saw_bn);
  norma_profile_entry entry;
  assert_int_equal(norma_session_profile(session, 14, &entry), NORMA_ERROR_ARGUMENT);
  norma_session_profile_reset(session);
  assert_int_equal(norma_session_profile(session, 0, &entry), NORMA_OK);
  assert_int_equal(entry.runs, 0);
  norma_session_destroy(session);
  free_model(&loaded);
  free(pictures);
}

static void note_progress(void *context, size_t done, size_t total) {
  size_t *last = context;
  assert_int_equal(done, *last + 1);
  assert_int_equal(total, 14);
  *last = done;
}

static void progress_is_told(void **state) {
  (void)state;
  float *pictures = make_pictures(1, 15);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_NONE, 1, NULL);
  size_t last = 0;
  norma_session_options options = {.struct_size = sizeof options};
  options.progress = note_progress;
  options.progress_context = &last;
  norma_session *session;
  norma_error error;
  assert_int_equal(norma_session_create(loaded.model, &options, &session, &error), NORMA_OK);
  set_pictures(session, pictures, 1);
  run_model(session);
  assert_int_equal(last, 14);
  norma_session_destroy(session);
  free_model(&loaded);
  free(pictures);
}

/* ---------------------------------------------------------------------------------------------- ends before the end */

#define SLOW_BATCH 60000

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void *cancel_soon(void *argument) {
  struct timespec pause = {0, 30 * 1000 * 1000};
  nanosleep(&pause, NULL);
  norma_session_cancel(argument);
  return NULL;
}

static void cancelled_run(void **state) {
  (void)state;
  float *pictures = make_pictures(SLOW_BATCH, 10);
  for (int threads = 1; threads <= 2; threads++) {
    loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, threads, NULL);
    norma_error error;
    set_pictures(loaded.session, pictures, SLOW_BATCH);
    assert_int_equal(norma_session_prepare(loaded.session, &error), NORMA_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, loaded.session), 0);
    assert_int_equal(norma_session_run(loaded.session, &error), NORMA_ERROR_CANCELLED);
    pthread_join(thread, NULL);
    assert_null(norma_session_output(loaded.session, 0));
    norma_session_cancel(loaded.session);
    assert_int_equal(norma_session_run(loaded.session, &error), NORMA_ERROR_CANCELLED);
    set_batch(loaded.session, pictures, 1); /* the request is forgotten, the session lives on */
    run_model(loaded.session);
    free_model(&loaded);
  }
  free(pictures);
}

static void run_over_its_time(void **state) {
  (void)state;
  float *pictures = make_pictures(SLOW_BATCH, 11);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
  norma_error error;
  set_pictures(loaded.session, pictures, SLOW_BATCH);
  assert_int_equal(norma_session_prepare(loaded.session, &error), NORMA_OK);
  norma_session_set_timeout(loaded.session, 0.02);
  double start = now_ms();
  assert_int_equal(norma_session_run(loaded.session, &error), NORMA_ERROR_DEADLINE);
  print_message("a limit of 20 ms ended the run after %.1f ms\n", now_ms() - start);
  norma_session_set_timeout(loaded.session, 0);
  set_batch(loaded.session, pictures, 1);
  run_model(loaded.session);
  free_model(&loaded);
  free(pictures);
}

static void memory_budget(void **state) {
  (void)state;
  norma_error error;
  norma_runtime_options options = {.struct_size = sizeof options};
  options.threads = 1;
  options.max_memory_bytes = 1 << 20;
  norma_runtime *runtime;
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
  norma_load_options load_options = {.struct_size = sizeof load_options};
  load_options.runtime = runtime;
  norma_model *model;
  norma_session *session;
  assert_int_equal(norma_model_load(DIGITS_BN, &load_options, &model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  float *pictures = make_pictures(1000, 12);
  set_pictures(session, pictures, 1000);
  assert_int_equal(norma_session_run(session, &error), NORMA_ERROR_BUDGET);
  assert_true(error.node[0] && error.op_type[0] && error.value[0]); /* of the largest value */
  assert_non_null(strstr(error.message, error.value));
  assert_non_null(strstr(error.message, "memory budget"));
  assert_true(norma_runtime_memory_peak(runtime) <= 1 << 20);
  set_batch(session, pictures, 1);
  run_model(session);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  free(pictures);
}

/* -------------------------------------------------------------------------------------------------- several threads */

typedef struct thread_run {
  norma_model *model;
  float *pictures;
  const float *expected;
  bool same;
} thread_run;

static void *run_in_thread(void *argument) {
  thread_run *run = argument;
  norma_session *session;
  run->same = norma_session_create(run->model, NULL, &session, NULL) == NORMA_OK;
  if (!run->same) return NULL;
  for (int i = 0; i < 20 && run->same; i++) {
    int64_t count = 1 + i % 5, dims[4] = {count, 1, 8, 8};
    norma_tensor tensor;
    norma_tensor_init(&tensor, NORMA_FLOAT, 4, dims, run->pictures);
    norma_session_clear_inputs(session);
    run->same = norma_session_set_input(session, "picture", &tensor, NULL) == NORMA_OK &&
                norma_session_run(session, NULL) == NORMA_OK;
    if (!run->same) break;
    const norma_tensor *output = norma_value_tensor(norma_session_output(session, 0));
    run->same = memcmp(output->data, run->expected, output->size_bytes) == 0;
  }
  norma_session_destroy(session);
  return NULL;
}

static void one_model_in_eight_threads(void **state) {
  (void)state;
  float *pictures = make_pictures(5, 13);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 2, NULL);
  set_pictures(loaded.session, pictures, 5);
  const norma_tensor *expected = run_model(loaded.session);
  pthread_t threads[8];
  thread_run runs[8];
  for (int i = 0; i < 8; i++) {
    runs[i] = (thread_run){loaded.model, pictures, expected->data, false};
    assert_int_equal(pthread_create(&threads[i], NULL, run_in_thread, &runs[i]), 0);
  }
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < 8; i++) assert_true(runs[i].same);
  free_model(&loaded);
  free(pictures);
}

/* The caller's loop, backwards: order must not matter. */
static void backwards(void *context, size_t count, norma_parallel_body body, void *argument) {
  ++*(int *)context;
  while (count-- > 0) body(argument, count, (int)(count % 3));
}

static void parallel_for_of_the_caller(void **state) {
  (void)state;
  float *pictures = make_pictures(64, 14);
  loaded_model plain = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
  set_pictures(plain.session, pictures, 64);
  const norma_tensor *expected = run_model(plain.session);
  int calls = 0;
  norma_runtime_options options = {.struct_size = sizeof options};
  options.threads = 3;
  options.parallel = backwards;
  options.parallel_context = &calls;
  norma_error error;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
  norma_load_options load_options = {.struct_size = sizeof load_options};
  load_options.runtime = runtime;
  assert_int_equal(norma_model_load(DIGITS_BN, &load_options, &model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  set_pictures(session, pictures, 64);
  assert_memory_equal(run_model(session)->data, expected->data, expected->size_bytes);
  assert_true(calls > 0);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  free_model(&plain);
  free(pictures);
}

/* A declared shape may have more elements than there are addresses, or parts that have: also in a tensor without
 * any. */
static void shapes_beyond_all_memory(void **state) {
  (void)state;
  static const int64_t cases[][3] = {
      {INT64_MAX - 1, 3, 1}, {(int64_t)1 << 41, (int64_t)1 << 27, 5}, {0, (int64_t)1 << 41, (int64_t)1 << 41}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    model_builder *b = builder_create(17);
    norma_model *model;
    norma_session *session = NULL;
    norma_error error;
    builder_input(b, "x", NORMA_FLOAT, 3, cases[i]);
    node *softmax = builder_node(b, "Softmax", "x", "y");
    builder_int(softmax, "axis", 0);
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    size_t size;
    const void *bytes = builder_bytes(b, &size);
    if (norma_model_load_memory(bytes, size, NULL, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
    const norma_status status = norma_session_create(model, NULL, &session, &error);
    if (cases[i][0] != 0) {
      assert_int_equal(status, NORMA_ERROR_BUDGET);
    } else if (status == NORMA_OK) {
      norma_tensor x;
      assert_int_equal(norma_tensor_init(&x, NORMA_FLOAT, 3, cases[i], NULL), NORMA_OK);
      assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
      assert_int_equal(norma_session_run(session, &error), NORMA_OK);
      assert_int_equal(norma_tensor_count(norma_value_tensor(norma_session_output(session, 0))), 0);
    }
    norma_session_destroy(session);
    norma_model_destroy(model);
    builder_destroy(b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(second_run_allocates_nothing),
      cmocka_unit_test(prepared_run_allocates_nothing),
      cmocka_unit_test(arena_of_the_caller),
      cmocka_unit_test(bound_output),
      cmocka_unit_test(planned_output),
      cmocka_unit_test(dynamic_batch),
      cmocka_unit_test(a_cache_that_grows),
      cmocka_unit_test(arenas_grow_in_steps),
      cmocka_unit_test(same_bits_for_all_threads_and_batches),
      cmocka_unit_test(empty_batch),
      cmocka_unit_test(wrong_inputs),
      cmocka_unit_test(watched_values),
      cmocka_unit_test(profile_names_nodes),
      cmocka_unit_test(progress_is_told),
      cmocka_unit_test(cancelled_run),
      cmocka_unit_test(run_over_its_time),
      cmocka_unit_test(memory_budget),
      cmocka_unit_test(one_model_in_eight_threads),
      cmocka_unit_test(parallel_for_of_the_caller),
      cmocka_unit_test(shapes_beyond_all_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

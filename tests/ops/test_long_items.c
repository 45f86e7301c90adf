/* Runs end soon after their deadline even where one piece of work, a plane or a line, would take minutes; and planes
 * that are cut into slices for that come out the same to the bit. */
#include "engine/base/platform.h"
#include "engine/execute/executor.h"
#include "ops/window.h"
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LIMIT    0.01 /* seconds */
#define PATIENCE 4.0  /* on a busy machine, under a sanitizer; the work itself would take minutes */

typedef struct long_work {
  const char *op_type;
  norma_element_type type;
  int rank;
  int64_t x[4];
  int64_t w[4]; /* weights, given at run time; first is 0 where there are none */
  const char *attribute;
  int64_t count, ints[6];
  int64_t pad; /* all pads, 0: none */
} long_work;

static void run_long_work(const long_work *work, norma_optimization level) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", work->type, work->rank, work->x);
  if (work->w[0]) builder_input(b, "w", work->type, work->rank, work->w);
  node *node = builder_node(b, work->op_type, work->w[0] ? "x w" : "x", "y");
  if (work->attribute && work->count)
    builder_ints(node, work->attribute, (size_t)work->count, work->ints);
  else if (work->attribute)
    builder_int(node, work->attribute, work->ints[0]);
  int64_t pads[4] = {work->pad, work->pad, work->pad, work->pad};
  if (work->pad) builder_ints(node, "pads", 4, pads);
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .optimization = level};
  norma_model *model;
  norma_session *session;
  norma_error error;
  norma_tensor x, w;
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  norma_tensor_init(&x, work->type, work->rank, work->x, NULL);
  x.data = calloc(1, x.size_bytes);
  assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
  w.data = NULL;
  if (work->w[0]) {
    norma_tensor_init(&w, work->type, work->rank, work->w, NULL);
    w.data = calloc(1, w.size_bytes);
    assert_int_equal(norma_session_set_input(session, "w", &w, &error), NORMA_OK);
  }
  if (norma_session_prepare(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  norma_session_set_timeout(session, LIMIT);
  uint64_t start = clock_now_ns();
  norma_status status = norma_session_run(session, &error);
  double seconds = (double)(clock_now_ns() - start) / 1e9;
  if (status != NORMA_ERROR_DEADLINE)
    fail_msg("%s: %s after %.2f s", work->op_type, norma_status_text(status), seconds);
  if (seconds > PATIENCE) fail_msg("%s: ended %.2f s after it began", work->op_type, seconds);
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(b);
  free(x.data);
  free(w.data);
}

static void deadlines_hold_within_a_piece(void **state) {
  (void)state;
  static const long_work works[] = {
      {"MaxPool", NORMA_FLOAT, 4, {1, 1, 800, 800}, {0}, "kernel_shape", 2, {799, 799}, 400},
      {"AveragePool", NORMA_FLOAT, 4, {1, 1, 800, 800}, {0}, "kernel_shape", 2, {799, 799}, 400},
      {"LpPool", NORMA_DOUBLE, 4, {1, 1, 800, 800}, {0}, "kernel_shape", 2, {799, 799}, 400},
      {"MaxPool", NORMA_FLOAT, 4, {1, 1, 6000, 6000}, {0}, "kernel_shape", 2, {60, 60}, 0},
      {"Conv", NORMA_FLOAT, 4, {1, 1, 1000, 1000}, {1, 1, 500, 500}, NULL, 0, {0}, 0},
      {"Conv", NORMA_FLOAT, 4, {1, 1, 5000, 5000}, {1, 1, 60, 60}, NULL, 0, {0}, 0},
      {"Conv", NORMA_DOUBLE, 4, {1, 1, 1000, 1000}, {1, 1, 500, 500}, NULL, 0, {0}, 0},
      {"ConvTranspose", NORMA_FLOAT, 4, {1, 1, 700, 700}, {1, 1, 500, 500}, NULL, 0, {0}, 0},
      {"ConvTranspose", NORMA_DOUBLE, 4, {1, 1, 700, 700}, {1, 1, 500, 500}, NULL, 0, {0}, 0},
      {"LRN", NORMA_FLOAT, 4, {1, 100000, 4, 4}, {0}, "size", 0, {100001}, 0},
      {"LRN", NORMA_DOUBLE, 4, {1, 100000, 4, 4}, {0}, "size", 0, {100001}, 0},
  };
  for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
    run_long_work(&works[i], NORMA_OPTIMIZE_NONE);
    run_long_work(&works[i], NORMA_OPTIMIZE_FULL);
  }
}

/* Lines of 20 million elements, each one piece of work: not minutes, but longer than the limit. */
static void deadlines_hold_within_a_line(void **state) {
  (void)state;
  static const long_work works[] = {
      {"ArgMax", NORMA_INT64, 1, {20000000}, {0}, "axis", 0, {0}, 0},
      {"Hardmax", NORMA_FLOAT, 1, {20000000}, {0}, "axis", 0, {0}, 0},
      {"Softmax", NORMA_DOUBLE, 1, {20000000}, {0}, "axis", 0, {0}, 0},
      {"LpNormalization", NORMA_FLOAT, 1, {20000000}, {0}, "p", 0, {1}, 0},
      {"GlobalLpPool", NORMA_FLOAT, 4, {1, 1, 4000, 5000}, {0}, "p", 0, {3}, 0},
  };
  for (size_t i = 0; i < sizeof works / sizeof *works; i++) run_long_work(&works[i], NORMA_OPTIMIZE_FULL);
}

/* ----------------------------------------------------------------------------------------------------------- slices */

static float *random_floats(size_t count) {
  float *floats = malloc((count + 1) * sizeof *floats);
  assert_non_null(floats);
  for (size_t i = 0; i < count; i++) floats[i] = (float)(rand() % 2000) / 1000 - 1;
  return floats;
}

typedef enum plane_kind { DEPTHWISE, MAX, AVERAGE, AVERAGE_WITH_PADS, PLANE_KINDS } plane_kind;

static void compute_plane(plane_kind kind, const struct window_2d *plane, const size_t pad_end[2], const float *x,
                          const float *w, float *y, void *scratch) {
  const struct kernel_table *kernels = kernel_table_default();
  struct activation none = {UNARY_IDENTITY, 0, 0};
  if (kind == DEPTHWISE)
    kernels->depthwise_f32(plane, x, w, 0.5f, NULL, none, y, scratch);
  else if (kind == MAX)
    kernels->max_pool_f32(plane, x, y, scratch);
  else
    kernels->average_pool_f32(plane, kind == AVERAGE_WITH_PADS, pad_end, x, y, scratch);
}

static void slices_are_the_plane(void **state) {
  (void)state;
  srand(5);
  for (int round = 0; round < 2000; round++) {
    window w = {.axes = 2};
    size_t pad_end[2];
    for (int d = 0; d < 2; d++) {
      w.input[d] = 1 + rand() % 40;
      w.kernel[d] = 1 + rand() % 5;
      w.stride[d] = 1 + rand() % 3;
      w.dilation[d] = 1 + rand() % 3;
      w.pad_begin[d] = rand() % 8;
      w.pad_end[d] = rand() % 12;
      int64_t room = w.input[d] + w.pad_begin[d] + w.pad_end[d] - (w.kernel[d] - 1) * w.dilation[d] - 1;
      w.output[d] = room < 0 ? 0 : room / w.stride[d] + 1;
      pad_end[d] = (size_t)w.pad_end[d];
    }
    if (window_outputs(&w) == 0) continue;
    assert_true(window_suits_planes(&w));
    struct window_2d plane = window_plane(&w);
    int64_t rows = 1 + rand() % w.output[0];
    size_t outputs = (size_t)window_outputs(&w);
    float *x = random_floats((size_t)window_inputs(&w)), *weights = random_floats((size_t)window_taps(&w));
    float *whole = random_floats(outputs), *sliced = random_floats(outputs);
    void *scratch = malloc(window_slices_scratch(kernel_table_default(), &plane, w.output[0]));
    void *slice_scratch = malloc(window_slices_scratch(kernel_table_default(), &plane, rows));
    plane_kind kind = (plane_kind)(round % PLANE_KINDS);
    compute_plane(kind, &plane, pad_end, x, weights, whole, scratch);
    for (int64_t row = 0; row < w.output[0]; row += rows) {
      struct window_slice slice = window_slice(&plane, pad_end[0], (size_t)row, (size_t)rows);
      size_t slice_pad_end[2] = {slice.pad_end, pad_end[1]};
      compute_plane(kind, &slice.plane, slice_pad_end, x + slice.x_offset, weights, sliced + slice.y_offset,
                    slice_scratch);
    }
    assert_memory_equal(whole, sliced, outputs * sizeof *whole);
    free(x);
    free(weights);
    free(whole);
    free(sliced);
    free(scratch);
    free(slice_scratch);
  }
}

/* A window of two taps may span gigabytes of padding: kernels that copy padded rows are not for it. */
static void windows_that_span_much(void **state) {
  (void)state;
  static const char *const op_types[] = {"MaxPool", "AveragePool", "Conv"};
  const int64_t far = INT64_C(1) << 31;
  for (int i = 0; i < 3; i++) {
    model_builder *b = builder_create(19);
    float data[16], ones[4] = {1, 1, 1, 1};
    for (int k = 0; k < 16; k++) data[k] = (float)(k + 1);
    builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){1, 1, 4, 4});
    builder_input(b, "w", NORMA_FLOAT, 4, (int64_t[]){1, 1, 2, 2});
    node *node = builder_node(b, op_types[i], i == 2 ? "x w" : "x", "y");
    builder_ints(node, "kernel_shape", 2, (int64_t[]){2, 2});
    builder_ints(node, "dilations", 2, (int64_t[]){far, far});
    builder_ints(node, "pads", 4, (int64_t[]){far, far, 0, 0});
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    size_t size;
    const void *bytes = builder_bytes(b, &size);
    norma_model *model;
    norma_session *session;
    norma_error error;
    norma_tensor x, w;
    norma_tensor_init(&x, NORMA_FLOAT, 4, (int64_t[]){1, 1, 4, 4}, data);
    norma_tensor_init(&w, NORMA_FLOAT, 4, (int64_t[]){1, 1, 2, 2}, ones);
    if (norma_model_load_memory(bytes, size, NULL, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
    assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
    assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
    assert_int_equal(norma_session_set_input(session, "w", &w, &error), NORMA_OK);
    if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s: %s", op_types[i], error.message);
    const float *y = norma_value_tensor(norma_session_output(session, 0))->data;
    for (int k = 0; k < 16; k++) assert_true(y[k] == data[k]); /* one tap lies inside */
    norma_session_destroy(session);
    norma_model_destroy(model);
    builder_destroy(b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deadlines_hold_within_a_piece),
      cmocka_unit_test(deadlines_hold_within_a_line),
      cmocka_unit_test(slices_are_the_plane),
      cmocka_unit_test(windows_that_span_much),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

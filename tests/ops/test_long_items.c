/* Runs end soon after their deadline even where one piece of work, a plane or a line, would take minutes. */
#include "engine/base/platform.h"
#include "engine/execute/executor.h"
#include "tests/support/model_builder.h"
#include "tests/support/workbench.h"

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
      {"ReduceProd", NORMA_FLOAT, 1, {20000000}, {0}, NULL, 0, {0}, 0},
      {"ReduceSum", NORMA_INT64, 1, {20000000}, {0}, NULL, 0, {0}, 0},
      {"ReduceLogSumExp", NORMA_DOUBLE, 1, {20000000}, {0}, NULL, 0, {0}, 0},
      {"ReduceSum", NORMA_FLOAT, 1, {40000000}, {0}, NULL, 0, {0}, 0},
      {"CumSum", NORMA_INT64, 1, {20000000}, {1}, NULL, 0, {0}, 0},
      {"Gather", NORMA_INT64, 1, {20000000}, {20000000}, NULL, 0, {0}, 0},
      {"Hardmax", NORMA_FLOAT, 1, {20000000}, {0}, "axis", 0, {0}, 0},
      {"Softmax", NORMA_DOUBLE, 1, {20000000}, {0}, "axis", 0, {0}, 0},
      {"LpNormalization", NORMA_FLOAT, 1, {20000000}, {0}, "p", 0, {1}, 0},
      {"GlobalLpPool", NORMA_FLOAT, 4, {1, 1, 4000, 5000}, {0}, "p", 0, {3}, 0},
  };
  for (size_t i = 0; i < sizeof works / sizeof *works; i++) run_long_work(&works[i], NORMA_OPTIMIZE_FULL);
}

/* ---------------------------------------------------------------------------------------------------- single thread */

#define MANY 300000

/* Operators that run over their elements on one thread ask now and then whether to stop. */
static void cancelled_runs_end(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *floats = bench_random(&bench, NORMA_FLOAT, SHAPE(MANY), -1, 1),
              *zeros = bench_ints(&bench, SHAPE(MANY), NULL);
  const value *packed = bench_make(&bench, NORMA_INT4, SHAPE(MANY)),
              *strings = bench_make(&bench, NORMA_STRING, SHAPE(MANY));
  const value *tuples = bench_ints(&bench, SHAPE(MANY, 1), NULL),
              *two = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(0, 1));
  const value *half = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(0.5)),
              *training = bench_tensor(&bench, NORMA_BOOL, SCALAR, NUMBERS(1));
  const driver_call calls[] = {CALL("OneHot", 13, zeros, bench_int(&bench, 2), two),
                               CALL("OneHot", 13, bench_int(&bench, 0), bench_int(&bench, MANY), two),
                               CALL("ScatterElements", 18, floats, zeros, floats),
                               CALL("ScatterND", 18, floats, tuples, floats),
                               CALL("ScatterElements", 18, packed, zeros, packed),
                               CALL("Dropout", 13, floats, half, training),
                               CALL("Transpose", 21, packed),
                               CALL("Transpose", 21, strings),
                               CALL("NonZero", 13, floats),
                               CALL("CumSum", 14, floats, bench_int(&bench, 0)),
                               CALL("TopK", 11, floats, bench_list(&bench, 3)),
                               CALL("ReduceProd", 18, floats),
                               CALL("Cast", 13, strings)};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    driver_call call = calls[i];
    if (strcmp(call.op_type, "Cast") == 0) call.attributes[0] = (attribute)DRIVER_INT("to", NORMA_FLOAT);
    if (strcmp(call.op_type, "TopK") == 0) call.output_count = 2;
    call.cancelled = true;
    norma_status status = driver_run(&bench.driver, &call);
    if (status != NORMA_ERROR_CANCELLED) fail_msg("%s, call %d: %s", call.op_type, (int)i, norma_status_text(status));
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deadlines_hold_within_a_piece),
      cmocka_unit_test(deadlines_hold_within_a_line),
      cmocka_unit_test(cancelled_runs_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

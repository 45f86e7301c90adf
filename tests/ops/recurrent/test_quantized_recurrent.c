/* DynamicQuantizeLSTM against its equations in double precision. */
#include "tests/ops/quantized/quantized_reference.h"

#define DIRECTIONS_MOST 2
#define STEPS_MOST      4
#define BATCH_MOST      3
#define HIDDEN_MOST     20

typedef struct quantized_case {
  int64_t steps, batch, inputs, hidden, directions;
  norma_element_type weight_type;
  bool per_column, is_reverse, has_bias, has_lengths, has_states, has_peepholes;
  /* X, W, R, B, sequence_lens, initial_h, initial_c, P, and scales and zero points of W and R */
  const value *inputs_of[12];
} quantized_case;

/* Scales such that sums of a row stay near 1. */
static const value *some_scales(workbench *bench, shape form, int64_t depth) {
  value *made = bench_make(bench, NORMA_FLOAT, form);
  for (int64_t i = 0; i < norma_tensor_count(&made->tensor); i++) {
    const double scale = driver_random(&bench->seed, 0.5, 1) / 64 / sqrt((double)depth);
    element_set_double(NORMA_FLOAT, made->tensor.data, i, scale);
  }
  return made;
}

static quantized_case make_case(workbench *bench, int index) {
  quantized_case c = {.steps = random_int(&bench->seed, 1, STEPS_MOST),
                      .batch = random_int(&bench->seed, 1, BATCH_MOST),
                      .inputs = random_int(&bench->seed, 1, 40),
                      .hidden = random_int(&bench->seed, 1, HIDDEN_MOST),
                      .directions = random_int(&bench->seed, 1, DIRECTIONS_MOST),
                      .weight_type = index % 2 ? NORMA_INT8 : NORMA_UINT8,
                      .per_column = index & 2,
                      .is_reverse = index & 4,
                      .has_bias = index & 8,
                      .has_lengths = index & 16,
                      .has_states = index & 32,
                      .has_peepholes = index & 64};
  const int64_t width = 4 * c.hidden;
  const shape parameters = c.per_column ? SHAPE(c.directions, width) : SHAPE(c.directions);
  const shape states = SHAPE(c.directions, c.batch, c.hidden);
  c.inputs_of[0] = bench_random(bench, NORMA_FLOAT, SHAPE(c.steps, c.batch, c.inputs), -1, 2);
  c.inputs_of[1] = any_numbers(bench, c.weight_type, SHAPE(c.directions, c.inputs, width));
  c.inputs_of[2] = any_numbers(bench, c.weight_type, SHAPE(c.directions, c.hidden, width));
  if (c.has_bias) c.inputs_of[3] = bench_random(bench, NORMA_FLOAT, SHAPE(c.directions, 2 * width), -0.5, 0.5);
  if (c.has_lengths) c.inputs_of[4] = bench_random(bench, NORMA_INT32, SHAPE(c.batch), 0, (double)c.steps + 1);
  if (c.has_states) c.inputs_of[5] = bench_random(bench, NORMA_FLOAT, states, -2, 1);
  if (c.has_states) c.inputs_of[6] = bench_random(bench, NORMA_FLOAT, states, -1, 1);
  if (c.has_peepholes) c.inputs_of[7] = bench_random(bench, NORMA_FLOAT, SHAPE(c.directions, 3 * c.hidden), -1, 1);
  c.inputs_of[8] = some_scales(bench, parameters, c.inputs);
  c.inputs_of[9] = any_numbers(bench, c.weight_type, parameters);
  c.inputs_of[10] = some_scales(bench, parameters, c.hidden);
  c.inputs_of[11] = any_numbers(bench, c.weight_type, parameters);
  return c;
}

static driver_call call_of(const quantized_case *c) {
  driver_call call = CALL("DynamicQuantizeLSTM", 1, NULL);
  call.domain = "com.microsoft";
  call.input_count = 12;
  call.output_count = 3;
  memcpy(call.inputs, c->inputs_of, sizeof c->inputs_of);
  const attribute hidden = DRIVER_INT("hidden_size", c->hidden);
  const attribute bidirectional = DRIVER_STRING("direction", "bidirectional");
  const attribute reverse = DRIVER_STRING("direction", "reverse");
  call.attributes[0] = hidden;
  if (c->directions == 2) call.attributes[1] = bidirectional;
  if (c->directions == 1 && c->is_reverse) call.attributes[1] = reverse;
  return call;
}

/* ------------------------------------------------------------------------------------------------------- equations */

static double at(const quantized_case *c, int input, int64_t index) {
  return c->inputs_of[input] ? driver_element(c->inputs_of[input], index) : 0;
}

/* Element (p, j) of W or R of a direction. */
static double weight(const quantized_case *c, int input, int64_t d, int64_t depth, int64_t p, int64_t j) {
  const int64_t width = 4 * c->hidden, of = c->per_column ? d * width + j : d;
  const int scale = input == 1 ? 8 : 10;
  return (at(c, input, (d * depth + p) * width + j) - at(c, scale + 1, of)) * at(c, scale, of);
}

/* The 8-bit number next to x, in a range of low .. high, as a real one. */
static double rounded(double x, double low, double high) {
  const float least = (float)fmin(low, 0), most = (float)fmax(high, 0);
  const float scale = (most == least ? 1.0f : most - least) / 255.0f;
  const double zero = quantized_reference((double)(-least / scale), 0, NORMA_UINT8);
  return (quantized_reference((double)((float)x / scale), zero, NORMA_UINT8) - zero) * (double)scale;
}

static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}

static void widen(double range[2], double x) {
  range[0] = fmin(range[0], x), range[1] = fmax(range[1], x);
}

static bool takes_part(const quantized_case *c, int64_t row, int64_t time) {
  return !c->has_lengths || time < (int64_t)at(c, 4, row);
}

/* One sample; `state` is h as it is rounded. */
static void step(const quantized_case *c, int64_t d, const double *x, const double *state, double *h, double *cell) {
  const int64_t n = c->hidden, width = 4 * n;
  double gates[4 * HIDDEN_MOST];
  for (int64_t j = 0; j < width; j++) {
    gates[j] = at(c, 3, 2 * d * width + j) + at(c, 3, (2 * d + 1) * width + j);
    for (int64_t p = 0; p < c->inputs; p++) gates[j] += x[p] * weight(c, 1, d, c->inputs, p, j);
    for (int64_t p = 0; p < n; p++) gates[j] += state[p] * weight(c, 2, d, n, p, j);
  }
  for (int64_t u = 0; u < n; u++) {
    const double i = sigmoid(gates[u] + at(c, 7, 3 * d * n + u) * cell[u]);
    const double f = sigmoid(gates[2 * n + u] + at(c, 7, 3 * d * n + 2 * n + u) * cell[u]);
    cell[u] = f * cell[u] + i * tanh(gates[3 * n + u]);
    h[u] = sigmoid(gates[n + u] + at(c, 7, 3 * d * n + n + u) * cell[u]) * tanh(cell[u]);
  }
}

/* One step of all samples: the states that are multiplied have one range. */
static void step_all(const quantized_case *c, int64_t d, int64_t time, const double x_range[2], double *y, double *h,
                     double *cell) {
  const int64_t n = c->hidden;
  double range[2] = {0, 0}, x[40], state[HIDDEN_MOST];
  for (int64_t row = 0; row < c->batch; row++) {
    for (int64_t i = 0; i < n && takes_part(c, row, time); i++) widen(range, h[row * n + i]);
  }
  for (int64_t row = 0; row < c->batch; row++) {
    if (!takes_part(c, row, time)) continue;
    for (int64_t i = 0; i < n; i++) state[i] = rounded(h[row * n + i], range[0], range[1]);
    for (int64_t i = 0; i < c->inputs; i++)
      x[i] = rounded(at(c, 0, (time * c->batch + row) * c->inputs + i), x_range[0], x_range[1]);
    step(c, d, x, state, h + row * n, cell + row * n);
    memcpy(y + ((time * c->directions + d) * c->batch + row) * n, h + row * n, (size_t)n * sizeof *h);
  }
}

/* All outputs of one direction. */
static void walk(const quantized_case *c, int64_t d, double *y, double *last_h, double *last_c) {
  const int64_t states = c->batch * c->hidden;
  const bool reverse = d == 1 || (c->directions == 1 && c->is_reverse);
  double *h = last_h + d * states, *cell = last_c + d * states, range[2] = {0, 0};
  for (int64_t i = 0; i < states; i++) h[i] = at(c, 5, d * states + i);
  for (int64_t i = 0; i < states; i++) cell[i] = at(c, 6, d * states + i);
  for (int64_t i = 0; i < c->steps * c->batch * c->inputs; i++) {
    const int64_t line = i / c->inputs;
    if (takes_part(c, line % c->batch, line / c->batch)) widen(range, at(c, 0, i));
  }
  for (int64_t s = 0; s < c->steps; s++) step_all(c, d, reverse ? c->steps - 1 - s : s, range, y, h, cell);
}

static void check_near_all(const char *what, const value *given, const double *expected, int64_t count) {
  assert_int_equal(norma_tensor_count(&given->tensor), count);
  for (int64_t i = 0; i < count; i++) {
    const double element = driver_element(given, i);
    if (!(fabs(element - expected[i]) <= 1e-5))
      fail_msg("%s: element %lld is %g, expected %g", what, (long long)i, element, expected[i]);
  }
}

static void agrees_with_its_equations(void **state) {
  const struct kernel_table *kernels;
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    bench.kernels = kernels;
    for (int index = 0; index < 128; index++) {
      const quantized_case c = make_case(&bench, index);
      double y[STEPS_MOST * DIRECTIONS_MOST * BATCH_MOST * HIDDEN_MOST] = {0};
      double h[DIRECTIONS_MOST * BATCH_MOST * HIDDEN_MOST], cell[DIRECTIONS_MOST * BATCH_MOST * HIDDEN_MOST];
      const int64_t states = c.directions * c.batch * c.hidden;
      for (int64_t d = 0; d < c.directions; d++) walk(&c, d, y, h, cell);
      const driver_call call = call_of(&c);
      bench_run(&bench, &call);
      check_near_all("Y", &bench.driver.outputs[0], y, c.steps * states);
      check_near_all("Y_h", &bench.driver.outputs[1], h, states);
      check_near_all("Y_c", &bench.driver.outputs[2], cell, states);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* Large states, whose steps workers share: bench_run compares the bits for several numbers of them. */
static void shared_steps_give_the_same_bits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const int64_t n = 160, width = 4 * n;
  quantized_case c = {.steps = 3, .batch = 9, .inputs = 30, .hidden = n, .directions = 1};
  c.inputs_of[0] = bench_random(&bench, NORMA_FLOAT, SHAPE(3, 9, 30), -1, 2);
  c.inputs_of[1] = any_numbers(&bench, NORMA_INT8, SHAPE(1, 30, width));
  c.inputs_of[2] = any_numbers(&bench, NORMA_UINT8, SHAPE(1, n, width));
  for (int i = 8; i < 12; i += 2) {
    c.inputs_of[i] = some_scales(&bench, SHAPE(1, width), n);
    c.inputs_of[i + 1] = any_numbers(&bench, i == 8 ? NORMA_INT8 : NORMA_UINT8, SHAPE(1, width));
  }
  const driver_call call = call_of(&c);
  const value *y = bench_run(&bench, &call);
  for (int64_t i = 0; i < 27 * n; i++) assert_true(fabs(driver_element(y, i)) < 1);
  bench_finish(&bench);
}

/* A NaN among the inputs spoils all that is rounded with it, and a range of zeros divides by nothing. */
static void numbers_that_have_no_range(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  quantized_case c = make_case(&bench, 1);
  c.steps = c.batch = 1;
  value *x = bench_make(&bench, NORMA_FLOAT, SHAPE(1, 1, c.inputs));
  c.inputs_of[0] = x;
  driver_call call = call_of(&c);
  const value *y = bench_run(&bench, &call);
  for (int64_t i = 0; i < c.directions * c.hidden; i++) assert_true(driver_element(y, i) == 0); /* tanh(0) */
  element_set_double(NORMA_FLOAT, x->tensor.data, 0, NAN);
  y = bench_run(&bench, &call);
  for (int64_t i = 0; i < c.directions * c.hidden; i++) assert_true(isnan(driver_element(y, i)));
  bench_finish(&bench);
}

static void refuses_what_is_wrong(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const quantized_case good = make_case(&bench, 1);
  const int64_t width = 4 * good.hidden;
  const value *wrong[12] = {
      [1] = any_numbers(&bench, NORMA_INT8, SHAPE(good.directions, width, good.inputs + 1)),
      [2] = any_numbers(&bench, NORMA_INT8, SHAPE(good.directions, good.hidden + 1, width)),
      [8] = bench_random(&bench, NORMA_FLOAT, SHAPE(good.directions, width + 4), 0, 1),
      [9] = any_numbers(&bench, NORMA_INT8, SHAPE(good.directions, width)), /* the scale is one for each direction */
      [10] = bench_random(&bench, NORMA_FLOAT, SHAPE(good.directions + 1), 0, 1),
      [11] = any_numbers(&bench, NORMA_INT8, SCALAR),
  };
  for (int i = 0; i < 12; i++) {
    quantized_case c = good;
    if (!wrong[i]) continue;
    c.inputs_of[i] = wrong[i];
    const driver_call call = call_of(&c);
    assert_int_not_equal(driver_run(&bench.driver, &call), NORMA_OK);
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_its_equations),
      cmocka_unit_test(shared_steps_give_the_same_bits),
      cmocka_unit_test(numbers_that_have_no_range),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

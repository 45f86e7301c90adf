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

static void step(const quantized_case *c, int64_t d, const double *x, double *h, double *cell) {
  const int64_t n = c->hidden, width = 4 * n;
  double low = 0, high = 0, gates[4 * HIDDEN_MOST], state[HIDDEN_MOST];
  for (int64_t i = 0; i < n; i++) low = fmin(low, h[i]), high = fmax(high, h[i]);
  for (int64_t i = 0; i < n; i++) state[i] = rounded(h[i], low, high);
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

/* All outputs of one sample in one direction. */
static void walk(const quantized_case *c, int64_t d, int64_t row, double *y, double *last_h, double *last_c) {
  const int64_t n = c->hidden, length = c->has_lengths ? (int64_t)at(c, 4, row) : c->steps;
  const bool reverse = d == 1 || (c->directions == 1 && c->is_reverse);
  double *h = last_h + (d * c->batch + row) * n, *cell = last_c + (d * c->batch + row) * n, x[40], low = 0, high = 0;
  for (int64_t i = 0; i < n; i++) h[i] = at(c, 5, (d * c->batch + row) * n + i);
  for (int64_t i = 0; i < n; i++) cell[i] = at(c, 6, (d * c->batch + row) * n + i);
  for (int64_t i = 0; i < length * c->inputs; i++) {
    const double element = at(c, 0, (i / c->inputs * c->batch + row) * c->inputs + i % c->inputs);
    low = fmin(low, element), high = fmax(high, element);
  }
  for (int64_t s = 0; s < length; s++) {
    const int64_t time = reverse ? length - 1 - s : s;
    for (int64_t i = 0; i < c->inputs; i++)
      x[i] = rounded(at(c, 0, (time * c->batch + row) * c->inputs + i), low, high);
    step(c, d, x, h, cell);
    memcpy(y + ((time * c->directions + d) * c->batch + row) * n, h, (size_t)n * sizeof *h);
  }
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
      for (int64_t i = 0; i < c.directions * c.batch; i++) walk(&c, i / c.batch, i % c.batch, y, h, cell);
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

/* A sample is rounded to its own range: large neighbours change no bit. */
static void samples_do_not_see_each_other(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  quantized_case c = make_case(&bench, 1);
  c.steps = 3, c.batch = 2, c.has_lengths = false;
  value *both = bench_make(&bench, NORMA_FLOAT, SHAPE(3, 2, c.inputs));
  value *alone = bench_make(&bench, NORMA_FLOAT, SHAPE(3, 1, c.inputs));
  for (int64_t i = 0; i < 3 * c.inputs; i++) {
    const double element = driver_random(&bench.seed, -1, 1);
    const int64_t time = i / c.inputs, place = i % c.inputs;
    element_set_double(NORMA_FLOAT, alone->tensor.data, i, element);
    element_set_double(NORMA_FLOAT, both->tensor.data, 2 * time * c.inputs + place, element);
    element_set_double(NORMA_FLOAT, both->tensor.data, (2 * time + 1) * c.inputs + place, 100 * element);
  }
  double first[3 * DIRECTIONS_MOST * HIDDEN_MOST];
  const int64_t lines = 3 * c.directions;
  c.inputs_of[0] = both;
  driver_call call = call_of(&c);
  const value *given = bench_run(&bench, &call);
  for (int64_t i = 0; i < lines * c.hidden; i++)
    first[i] = driver_element(given, i / c.hidden * 2 * c.hidden + i % c.hidden);
  c.inputs_of[0] = alone;
  call = call_of(&c);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3, c.directions, 1, c.hidden), first);
  bench_finish(&bench);
}

/* A NaN among the inputs spoils its sample, and a range of zeros divides by nothing. */
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
      cmocka_unit_test(samples_do_not_see_each_other),
      cmocka_unit_test(numbers_that_have_no_range),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/ops/recurrent/naive_recurrent.h"

#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const naive_function naive_functions[NAIVE_FUNCTIONS] = {
    {"Relu", 0},       {"Tanh", 0},        {"Sigmoid", 0}, {"Affine", 2},   {"LeakyRelu", 1}, {"ThresholdedRelu", 1},
    {"ScaledTanh", 2}, {"HardSigmoid", 2}, {"Elu", 1},     {"Softsign", 0}, {"Softplus", 0}};

/* By index into naive_functions. */
static double evaluate(int function, double x, double alpha, double beta) {
  switch (function) {
  case 0:
    return fmax(x, 0);
  case 1:
    return tanh(x);
  case 2:
    return 1 / (1 + exp(-x));
  case 3:
    return alpha * x + beta;
  case 4:
    return x >= 0 ? x : alpha * x;
  case 5:
    return x >= alpha ? x : 0;
  case 6:
    return alpha * tanh(beta * x);
  case 7:
    return fmin(fmax(alpha * x + beta, 0), 1);
  case 8:
    return x >= 0 ? x : alpha * (exp(x) - 1);
  case 9:
    return x / (1 + fabs(x));
  default:
    return x > 40 ? x : log(1 + exp(x));
  }
}

static int function_index(const char *name) {
  for (int i = 0; i < NAIVE_FUNCTIONS; i++) {
    if (strcmp(naive_functions[i].name, name) == 0) return i;
  }
  fail_msg("no function %s", name);
  return -1;
}

/* All tensors of a case, as doubles; NULL where absent. */
typedef struct naive_data {
  double *x, *w, *r, *b, *h0, *c0, *p;
  const int32_t *lengths;
  double *y, *yh, *yc; /* [steps][directions][batch][hidden], [directions][batch][hidden] */
} naive_data;

/* Function `index` of direction `d`, its input clipped. */
static double activate(const naive_recurrent *c, int d, int index, double x) {
  static const double defaults[NAIVE_FUNCTIONS][2] = {
      [3] = {1, 0}, [4] = {0.01f}, [5] = {1}, [6] = {1, 1}, [7] = {0.2f, 0.5}, [8] = {1}};
  if (c->clip > 0) x = fmin(fmax(x, -c->clip), c->clip);
  if (!c->names_functions) return evaluate(function_index(c->default_functions[index]), x, 0, 0);
  int alphas = 0, betas = 0;
  for (int i = 0;; i++) {
    const int function = c->function_of[i], takes = naive_functions[function].takes;
    const double alpha = takes > 0 && alphas < c->alpha_count ? (double)c->alphas[alphas] : defaults[function][0];
    const double beta = takes > 1 && betas < c->beta_count ? (double)c->betas[betas] : defaults[function][1];
    alphas += takes > 0;
    betas += takes > 1;
    if (i == d * c->functions + index) return evaluate(function, x, alpha, beta);
  }
}

/* Row `row` of W or R times a vector. */
static double product(const double *matrix, int64_t row, const double *vector, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += matrix[row * n + i] * vector[i];
  return sum;
}

/* Pre-activations of gate g without what belongs to R, and what belongs to R, for one unit. */
static double of_inputs(const naive_recurrent *c, const naive_data *data, int d, int g, int64_t unit, const double *x) {
  const int64_t row = (d * c->gates + g) * c->hidden + unit;
  return product(data->w, row, x, c->inputs) + (data->b ? data->b[(2 * d * c->gates + g) * c->hidden + unit] : 0);
}

static double of_state(const naive_recurrent *c, const naive_data *data, int d, int g, int64_t unit, const double *h) {
  const int64_t row = (d * c->gates + g) * c->hidden + unit;
  return product(data->r, row, h, c->hidden) + (data->b ? data->b[((2 * d + 1) * c->gates + g) * c->hidden + unit] : 0);
}

static void step_rnn(const naive_recurrent *c, const naive_data *data, int d, const double *x, double *h) {
  double next[64];
  for (int64_t u = 0; u < c->hidden; u++) {
    next[u] = activate(c, d, 0, of_inputs(c, data, d, 0, u, x) + of_state(c, data, d, 0, u, h));
  }
  memcpy(h, next, (size_t)c->hidden * sizeof *h);
}

static void step_gru(const naive_recurrent *c, const naive_data *data, int d, const double *x, double *h) {
  double z[64], r[64], reset[64], next[64];
  for (int64_t u = 0; u < c->hidden; u++) {
    z[u] = activate(c, d, 0, of_inputs(c, data, d, 0, u, x) + of_state(c, data, d, 0, u, h));
    r[u] = activate(c, d, 0, of_inputs(c, data, d, 1, u, x) + of_state(c, data, d, 1, u, h));
    reset[u] = r[u] * h[u];
  }
  for (int64_t u = 0; u < c->hidden; u++) {
    const double state =
        c->linear_before_reset ? r[u] * of_state(c, data, d, 2, u, h) : of_state(c, data, d, 2, u, reset);
    next[u] = (1 - z[u]) * activate(c, d, 1, of_inputs(c, data, d, 2, u, x) + state) + z[u] * h[u];
  }
  memcpy(h, next, (size_t)c->hidden * sizeof *h);
}

static void step_lstm(const naive_recurrent *c, const naive_data *data, int d, const double *x, double *h,
                      double *cell) {
  double next[64];
  const double *p = data->p ? data->p + 3 * d * c->hidden : NULL;
  for (int64_t u = 0; u < c->hidden; u++) {
    double gates[4];
    for (int g = 0; g < 4; g++) gates[g] = of_inputs(c, data, d, g, u, x) + of_state(c, data, d, g, u, h);
    const double i = activate(c, d, 0, gates[0] + (p ? p[u] * cell[u] : 0));
    const double f = c->input_forget ? 1 - i : activate(c, d, 0, gates[2] + (p ? p[2 * c->hidden + u] * cell[u] : 0));
    const double updated = f * cell[u] + i * activate(c, d, 1, gates[3]);
    const double o = activate(c, d, 0, gates[1] + (p ? p[c->hidden + u] * updated : 0));
    cell[u] = updated;
    next[u] = o * activate(c, d, 2, updated);
  }
  memcpy(h, next, (size_t)c->hidden * sizeof *h);
}

static void run_row(const naive_recurrent *c, const naive_data *data, int d, int64_t row) {
  double h[64], cell[64];
  const bool backwards = d == 1 || c->reverse;
  const int64_t length = data->lengths ? data->lengths[row] : c->steps;
  const int64_t at = c->batch_first ? row * c->directions + d : d * c->batch + row;
  for (int64_t u = 0; u < c->hidden; u++) {
    h[u] = data->h0 ? data->h0[at * c->hidden + u] : 0;
    cell[u] = data->c0 ? data->c0[at * c->hidden + u] : 0;
  }
  for (int64_t s = 0; s < length; s++) {
    const int64_t t = backwards ? length - 1 - s : s;
    const double *x = data->x + (c->batch_first ? row * c->steps + t : t * c->batch + row) * c->inputs;
    if (c->gates == 1) step_rnn(c, data, d, x, h);
    if (c->gates == 3) step_gru(c, data, d, x, h);
    if (c->gates == 4) step_lstm(c, data, d, x, h, cell);
    const int64_t to =
        c->batch_first ? (row * c->steps + t) * c->directions + d : (t * c->directions + d) * c->batch + row;
    memcpy(data->y + to * c->hidden, h, (size_t)c->hidden * sizeof *h);
  }
  memcpy(data->yh + at * c->hidden, h, (size_t)c->hidden * sizeof *h);
  memcpy(data->yc + at * c->hidden, cell, (size_t)c->hidden * sizeof *h);
}

/* ------------------------------------------------------------------------------------------------------------ cases */

naive_recurrent naive_random_case(const naive_recurrent *like, uint64_t *seed, int index) {
  static const int64_t opsets[] = {7, 14, 22};
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  naive_recurrent c = *like;
  c.type = types[index % 4];
  c.opset = c.type == NORMA_BFLOAT16 ? 22 : opsets[random_int(seed, 0, 2)];
  c.steps = random_int(seed, 0, 9);
  c.batch = random_of(seed, 0, 1, 1, 2, 3, 5, 17);
  c.inputs = random_int(seed, 0, 20);
  c.hidden = random_of(seed, 1, 2, 5, 16, 33, 40);
  c.directions = (int)random_int(seed, 1, 2);
  c.reverse = c.directions == 1 && random_int(seed, 0, 1);
  c.batch_first = c.opset >= 14 && random_int(seed, 0, 1);
  c.linear_before_reset = c.gates == 3 && random_int(seed, 0, 1);
  c.input_forget = c.gates == 4 && random_int(seed, 0, 3) == 0;
  c.clip = random_int(seed, 0, 3) == 0 ? 0.5 : 0;
  c.names_functions = random_int(seed, 0, 1);
  if (c.names_functions && c.steps > 3)
    c.steps = 3; /* some functions let states grow, with peepholes as their squares */
  const bool gives_numbers = random_int(seed, 0, 2) > 0;
  for (int i = 0; i < c.functions * c.directions; i++) {
    c.function_of[i] = (int)random_int(seed, 0, NAIVE_FUNCTIONS - 1);
    if (gives_numbers && naive_functions[c.function_of[i]].takes > 0) {
      c.alphas[c.alpha_count++] = (float)driver_random(seed, 0.1, 0.6);
    }
    if (gives_numbers && naive_functions[c.function_of[i]].takes > 1) {
      c.betas[c.beta_count++] = (float)driver_random(seed, 0.1, 0.6);
    }
  }
  c.has_bias = random_int(seed, 0, 2) > 0;
  c.has_lengths = random_int(seed, 0, 1);
  c.has_h = random_int(seed, 0, 1);
  c.has_c = c.has_cell && random_int(seed, 0, 1);
  c.has_peepholes = c.has_cell && random_int(seed, 0, 1);
  c.constants = (uint32_t)random_of(seed, 0, 0x8E, 0x06, 0x02);
  c.absent_outputs = (uint32_t)random_int(seed, 0, 7);
  c.workers = (int)random_int(seed, 1, 3);
  return c;
}

static value random_input(const naive_recurrent *c, uint64_t *seed, bool wanted, int rank, const int64_t *dims) {
  value none = {.kind = NORMA_VALUE_NONE};
  return wanted ? random_tensor(seed, c->type, rank, dims) : none;
}

/* The inputs of a case, by their numbers in the definition. */
static void make_inputs(const naive_recurrent *c, uint64_t *seed, value inputs[8]) {
  const int64_t rows = c->gates * c->hidden, first = c->batch_first ? c->batch : c->directions;
  const int64_t second = c->batch_first ? c->directions : c->batch;
  inputs[0] =
      random_input(c, seed, true, 3,
                   (int64_t[]){c->batch_first ? c->batch : c->steps, c->batch_first ? c->steps : c->batch, c->inputs});
  inputs[1] = random_input(c, seed, true, 3, (int64_t[]){c->directions, rows, c->inputs});
  inputs[2] = random_input(c, seed, true, 3, (int64_t[]){c->directions, rows, c->hidden});
  inputs[3] = random_input(c, seed, c->has_bias, 2, (int64_t[]){c->directions, 2 * rows});
  inputs[4] = (value){.kind = NORMA_VALUE_NONE};
  if (c->has_lengths) {
    inputs[4] = random_tensor(seed, NORMA_INT32, 1, (int64_t[]){c->batch});
    for (int64_t i = 0; i < c->batch; i++) {
      ((int32_t *)inputs[4].tensor.data)[i] = (int32_t)random_int(seed, 0, c->steps);
    }
  }
  inputs[5] = random_input(c, seed, c->has_h, 3, (int64_t[]){first, second, c->hidden});
  inputs[6] = random_input(c, seed, c->has_c, 3, (int64_t[]){first, second, c->hidden});
  inputs[7] = random_input(c, seed, c->has_peepholes, 2, (int64_t[]){c->directions, 3 * c->hidden});
  /* Weights that keep the states in the range where the functions bend. */
  for (int i = 1; i < 3; i++) {
    const double scale = 1 / sqrt((double)(i == 1 ? c->inputs : c->hidden) + 1);
    for (int64_t k = 0; k < norma_tensor_count(&inputs[i].tensor); k++) {
      element_set_double(c->type, inputs[i].tensor.data, k, scale * driver_element(&inputs[i], k));
    }
  }
}

/* The node; `names` holds the activations. */
static driver_call make_call(const naive_recurrent *c, const value inputs[8], norma_string names[6]) {
  driver_call call = {.op_type = c->op_type,
                      .opset = c->opset,
                      .input_count = c->has_cell ? 8 : 6,
                      .output_count = c->has_cell ? 3 : 2,
                      .constants = c->constants,
                      .absent_outputs = c->absent_outputs & (c->has_cell ? 7u : 3u),
                      .workers = c->workers,
                      .kernels = c->kernels};
  int count = 0;
  for (int i = 0; i < call.input_count; i++) call.inputs[i] = inputs[i].kind ? &inputs[i] : NULL;
  call.attributes[count++] = (attribute)DRIVER_INT("hidden_size", c->hidden);
  if (c->directions == 2) {
    call.attributes[count++] = (attribute)DRIVER_STRING("direction", "bidirectional");
  } else if (c->reverse) {
    call.attributes[count++] = (attribute)DRIVER_STRING("direction", "reverse");
  }
  if (c->batch_first) call.attributes[count++] = (attribute)DRIVER_INT("layout", 1);
  if (c->linear_before_reset) call.attributes[count++] = (attribute)DRIVER_INT("linear_before_reset", 1);
  if (c->input_forget) call.attributes[count++] = (attribute)DRIVER_INT("input_forget", 1);
  if (c->clip > 0) call.attributes[count++] = (attribute)DRIVER_FLOAT("clip", (float)c->clip);
  if (!c->names_functions) return call;
  for (int i = 0; i < c->functions * c->directions; i++) {
    const char *name = naive_functions[c->function_of[i]].name;
    names[i] = (norma_string){.data = (char *)(uintptr_t)name, .size = strlen(name)};
  }
  call.attributes[count++] = (attribute){.name = "activations",
                                         .kind = ATTRIBUTE_STRINGS,
                                         .count = (size_t)(c->functions * c->directions),
                                         .strings = names};
  if (c->alpha_count) {
    call.attributes[count++] = (attribute)DRIVER_FLOATS("activation_alpha", (size_t)c->alpha_count, c->alphas);
  }
  if (c->beta_count) {
    call.attributes[count++] = (attribute)DRIVER_FLOATS("activation_beta", (size_t)c->beta_count, c->betas);
  }
  return call;
}

static void compare(const naive_recurrent *c, const driver *driver, int output, const double *expected, int64_t count) {
  const value *got = &driver->outputs[output];
  if (got->kind == NORMA_VALUE_NONE) return;
  assert_int_equal(got->tensor.type, c->type);
  assert_int_equal(norma_tensor_count(&got->tensor), count);
  /* Errors grow from step to step; states of half precision are rounded once. */
  const double computed = c->type == NORMA_DOUBLE ? 1e-11 : 2e-5;
  for (int64_t i = 0; i < count; i++) {
    const double allowed = computed * (1 + fabs(expected[i])) + 1.01 * rounding_error(c->type) * fabs(expected[i]) +
                           (c->type == NORMA_FLOAT16 ? 6e-8 : 0);
    if (!(fabs(driver_element(got, i) - expected[i]) <= allowed)) {
      fail_msg("%s %s %dx%d inputs %d hidden %d, directions %d%s: output %d element %d: expected %.9g, got %.9g",
               c->op_type, norma_element_type_name(c->type), (int)c->steps, (int)c->batch, (int)c->inputs,
               (int)c->hidden, c->directions, c->reverse ? " reverse" : "", output, (int)i, expected[i],
               driver_element(got, i));
    }
  }
}

static void free_inputs(value inputs[8]) {
  for (int i = 0; i < 8; i++) random_tensor_free(&inputs[i]);
}

void naive_check(const naive_recurrent *c, uint64_t *seed) {
  driver driver;
  value inputs[8];
  norma_string names[6];
  make_inputs(c, seed, inputs);
  const driver_call call = make_call(c, inputs, names);
  driver_init(&driver);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  double *numbers[8] = {NULL};
  for (int i = 0; i < 8; i++) {
    if (i != 4 && inputs[i].kind) numbers[i] = tensor_doubles(&inputs[i]);
  }
  const int64_t states = c->directions * c->batch * c->hidden, all = c->steps * states;
  naive_data data = {.x = numbers[0],
                     .w = numbers[1],
                     .r = numbers[2],
                     .b = numbers[3],
                     .h0 = numbers[5],
                     .c0 = numbers[6],
                     .p = numbers[7],
                     .lengths = inputs[4].kind ? inputs[4].tensor.data : NULL,
                     .y = calloc((size_t)all + 1, sizeof(double)),
                     .yh = calloc((size_t)states + 1, sizeof(double)),
                     .yc = calloc((size_t)states + 1, sizeof(double))};
  for (int d = 0; d < c->directions; d++) {
    for (int64_t row = 0; row < c->batch; row++) run_row(c, &data, d, row);
  }
  compare(c, &driver, 0, data.y, all);
  compare(c, &driver, 1, data.yh, states);
  if (c->has_cell) compare(c, &driver, 2, data.yc, states);
  for (int i = 0; i < 8; i++) free(numbers[i]);
  free(data.y);
  free(data.yh);
  free(data.yc);
  free_inputs(inputs);
  driver_finish(&driver);
}

/* ------------------------------------------------------------------------------------------------------------- bits */

/* Steps are long enough that workers share each of them where rows are few. */
void naive_check_bits(const naive_recurrent *like, uint64_t *seed) {
  static const int64_t shapes[][4] = {{3, 1, 40, 600}, {40, 7, 30, 64}, {5, 1, 300, 300}};
  for (size_t s = 0; s < 3; s++) {
    for (int variant = 0; variant < 4; variant++) {
      naive_recurrent c = *like;
      c.opset = 22;
      c.type = variant == 3 ? NORMA_FLOAT16 : NORMA_FLOAT;
      c.steps = shapes[s][0];
      c.batch = shapes[s][1];
      c.inputs = shapes[s][2];
      c.hidden = shapes[s][3];
      c.directions = variant == 1 ? 2 : 1;
      c.batch_first = variant == 2;
      c.has_bias = c.has_h = c.has_c = c.has_lengths = true;
      c.has_c = c.has_peepholes = c.has_cell;
      value inputs[8];
      norma_string names[6];
      make_inputs(&c, seed, inputs);
      driver first, other;
      driver_init(&first);
      c.workers = 1;
      driver_call call = make_call(&c, inputs, names);
      if (driver_run(&first, &call) != NORMA_OK) fail_msg("%s", first.error.message);
      static const int workers[] = {2, 3, 7, 1};
      for (int w = 0; w < 4; w++) {
        driver_init(&other);
        call.workers = workers[w];
        call.constants = w % 2 ? 0x8E : 0;
        if (driver_run(&other, &call) != NORMA_OK) fail_msg("%s", other.error.message);
        for (int o = 0; o < call.output_count; o++) {
          assert_true(same_tensor(&first.outputs[o].tensor, &other.outputs[o].tensor));
        }
        driver_finish(&other);
      }
      driver_finish(&first);
      free_inputs(inputs);
    }
  }
}

/* Part `row` along the axis of the batch, which has `batch` parts: its second axis, or the first of a list. */
static value take_row(const value *whole, int64_t batch, int64_t row) {
  const norma_tensor *from = &whole->tensor;
  const int axis = from->rank == 1 ? 0 : 1;
  int64_t dims[4];
  memcpy(dims, from->dims, sizeof dims);
  dims[axis] = 1;
  uint64_t seed = 1;
  value part = random_tensor(&seed, from->type, from->rank, dims);
  const size_t bytes = (size_t)dims_product(from->dims, axis + 1, from->rank) * element_type_bytes(from->type);
  for (int64_t i = 0; i < dims_product(from->dims, 0, axis); i++) {
    memcpy((char *)part.tensor.data + (size_t)i * bytes, (char *)from->data + (size_t)(i * batch + row) * bytes, bytes);
  }
  return part;
}

void naive_check_rows(const naive_recurrent *like, uint64_t *seed) {
  naive_recurrent c = *like;
  c.opset = 7;
  c.type = NORMA_FLOAT;
  c.steps = 9;
  c.batch = 19;
  c.inputs = 30;
  c.hidden = 70;
  c.directions = 2;
  c.has_bias = c.has_lengths = c.has_h = true;
  c.has_c = c.has_peepholes = c.has_cell;
  value inputs[8], alone[8];
  norma_string names[6];
  driver together, single;
  make_inputs(&c, seed, inputs);
  const driver_call call = make_call(&c, inputs, names);
  driver_init(&together);
  if (driver_run(&together, &call) != NORMA_OK) fail_msg("%s", together.error.message);
  for (int64_t row = 0; row < c.batch; row += 6) {
    driver_call one = call;
    for (int i = 0; i < call.input_count; i++) {
      const bool has_batch = i == 0 || (i >= 4 && i <= 6);
      alone[i] = has_batch ? take_row(&inputs[i], c.batch, row) : inputs[i];
      one.inputs[i] = &alone[i];
    }
    driver_init(&single);
    if (driver_run(&single, &one) != NORMA_OK) fail_msg("%s", single.error.message);
    for (int o = 0; o < call.output_count; o++) {
      const norma_tensor *all = &together.outputs[o].tensor, *own = &single.outputs[o].tensor;
      const size_t bytes = (size_t)c.hidden * sizeof(float);
      for (int64_t i = 0; i < norma_tensor_count(own) / c.hidden; i++) {
        assert_memory_equal((char *)own->data + (size_t)i * bytes,
                            (char *)all->data + (size_t)(i * c.batch + row) * bytes, bytes);
      }
    }
    driver_finish(&single);
    for (int i = 0; i < call.input_count; i++) {
      if (alone[i].tensor.data != inputs[i].tensor.data) random_tensor_free(&alone[i]);
    }
  }
  driver_finish(&together);
  free_inputs(inputs);
}

/* --------------------------------------------------------------------------------------------------------- refusals */

static void assert_refused(driver *driver, const driver_call *call, const char *text) {
  if (driver_run(driver, call) == NORMA_OK) fail_msg("accepted, though \"%s\" was expected", text);
  if (!strstr(driver->error.message, text)) {
    fail_msg("expected a message with \"%s\", got \"%s\"", text, driver->error.message);
  }
}

/* With one attribute more, or in place of another. */
static void refuse_attribute(driver *driver, const driver_call *call, attribute added, const char *text) {
  driver_call changed = *call;
  int i = 0;
  while (changed.attributes[i].name && strcmp(changed.attributes[i].name, added.name) != 0) i++;
  changed.attributes[i] = added;
  assert_refused(driver, &changed, text);
}

void naive_check_refusals(const naive_recurrent *like) {
  uint64_t seed = 5;
  naive_recurrent c = *like;
  c.opset = 22;
  c.type = NORMA_FLOAT;
  c.steps = c.batch = 3;
  c.inputs = 4;
  c.hidden = 5;
  c.directions = 1;
  c.has_bias = c.has_lengths = c.has_h = true;
  c.has_c = c.has_peepholes = c.has_cell;
  value inputs[8];
  norma_string names[6];
  make_inputs(&c, &seed, inputs);
  const driver_call call = make_call(&c, inputs, names);
  driver driver;
  driver_init(&driver);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);

  refuse_attribute(&driver, &call, (attribute)DRIVER_STRING("direction", "sideways"), "direction is 'sideways'");
  refuse_attribute(&driver, &call, (attribute)DRIVER_INT("hidden_size", 6), "does not fit");
  refuse_attribute(&driver, &call, (attribute)DRIVER_INT("hidden_size", 0), "hidden_size is 0");
  refuse_attribute(&driver, &call, (attribute)DRIVER_INT("layout", 2), "layout is 2");
  refuse_attribute(&driver, &call, (attribute)DRIVER_FLOAT("clip", -1), "clip is -1");
  refuse_attribute(&driver, &call, (attribute)DRIVER_STRING("direction", "bidirectional"), "does not fit");
  const norma_string words[7] = {{"Tanh", 4}, {"Tanh", 4}, {"Tanh", 4}, {"Tanh", 4},
                                 {"Tanh", 4}, {"Tanh", 4}, {"Tanh", 4}};
  const norma_string unknown[3] = {{"Cosine", 6}, {"Tanh", 4}, {"Tanh", 4}};
  attribute list = {.name = "activations", .kind = ATTRIBUTE_STRINGS, .count = 7, .strings = words};
  refuse_attribute(&driver, &call, list, "has 7 activations");
  list.count = (size_t)c.functions;
  list.strings = unknown;
  refuse_attribute(&driver, &call, list, "there is no activation function 'Cosine'");

  driver_call old = call;
  old.opset = 13;
  refuse_attribute(&driver, &old, (attribute)DRIVER_INT("layout", 0), "layout");
  old.opset = 1;
  assert_int_equal(driver_run(&driver, &old), NORMA_OK);

  /* One input after the other with one dimension changed. */
  static const char *const input_names[] = {"X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"};
  for (int i = 0; i < call.input_count; i++) {
    for (int d = 0; d < inputs[i].tensor.rank; d++) {
      if (i == 0 && d == 0) continue; /* any number of steps will do */
      value changed = inputs[i];
      int64_t dims[3];
      memcpy(dims, inputs[i].tensor.dims, sizeof dims);
      dims[d]++;
      changed = random_tensor(&seed, inputs[i].tensor.type, inputs[i].tensor.rank, dims);
      driver_call wrong = call;
      wrong.inputs[i] = &changed;
      assert_refused(&driver, &wrong, "does not fit");
      random_tensor_free(&changed);
    }
    value flat = random_tensor(&seed, inputs[i].tensor.type, 4, (int64_t[]){1, 1, 1, 1});
    driver_call wrong = call;
    char text[64];
    snprintf(text, sizeof text, "%s has rank 4", input_names[i]);
    wrong.inputs[i] = &flat;
    assert_refused(&driver, &wrong, text);
    random_tensor_free(&flat);
  }
  for (int i = 0; i < 2; i++) {
    value lengths = random_tensor(&seed, NORMA_INT32, 1, (int64_t[]){3});
    for (int k = 0; k < 3; k++) ((int32_t *)lengths.tensor.data)[k] = k == 1 ? (i ? 4 : -1) : 1;
    driver_call wrong = call;
    wrong.inputs[4] = &lengths;
    assert_refused(&driver, &wrong, i ? "sequence_lens holds 4" : "sequence_lens holds -1");
    random_tensor_free(&lengths);
  }
  value half = random_tensor(&seed, NORMA_BFLOAT16, 3, inputs[1].tensor.dims);
  driver_call wrong = call;
  wrong.inputs[1] = &half;
  assert_refused(&driver, &wrong, "bfloat16");
  random_tensor_free(&half);
  free_inputs(inputs);
  driver_finish(&driver);
}

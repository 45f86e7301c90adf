/* Adam, Adagrad, Momentum: one step, element by element in double. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TRAINING "ai.onnx.preview.training"

enum { ADAM, ADAGRAD, STANDARD, NESTEROV };

static const char *const optimizers[] = {"Adam", "Adagrad", "Momentum", "Momentum"};

/* Attributes by their names in the definition; of Adam, `post` is norm_coefficient_post. */
struct coefficients {
  float norm, alpha, beta, epsilon, post, decay;
};

static const struct coefficients defaults = {0, 0.9f, 0.999f, 1e-6f, 0, 0};

static int histories_of(int kind) {
  return kind == ADAM ? 2 : 1;
}

/* X, G, V and H of one element, of Adagrad without V; results in order of the outputs. */
static void step_of(int kind, const struct coefficients *c, double r, int64_t t, const double *in, double *out) {
  double x = in[0], g = (double)c->norm * x + in[1], alpha = (double)c->alpha, beta = (double)c->beta;
  double n = (double)t, epsilon = (double)c->epsilon;
  switch (kind) {
  case ADAM: {
    double rate = t > 0 ? r * sqrt(1 - pow(beta, n)) / (1 - pow(alpha, n)) : r;
    out[1] = alpha * in[2] + (1 - alpha) * g;
    out[2] = beta * in[3] + (1 - beta) * g * g;
    out[0] = (1 - (double)c->post) * (x - rate * out[1] / (sqrt(out[2]) + epsilon));
    break;
  }
  case ADAGRAD:
    out[1] = in[2] + g * g;
    out[0] = x - r / (1 + n * (double)c->decay) * g / (sqrt(out[1]) + epsilon);
    break;
  default:
    out[1] = alpha * in[2] + (t > 0 ? beta : 1) * g;
    out[0] = x - r * (kind == NESTEROV ? g + alpha * out[1] : out[1]);
  }
}

static void set_coefficients(trial *t, int kind, const struct coefficients *c) {
  trial_attribute(t, (attribute)DRIVER_FLOAT("norm_coefficient", c->norm));
  if (kind != ADAGRAD) trial_attribute(t, (attribute)DRIVER_FLOAT("alpha", c->alpha));
  if (kind != ADAGRAD) trial_attribute(t, (attribute)DRIVER_FLOAT("beta", c->beta));
  if (kind == ADAM || kind == ADAGRAD) trial_attribute(t, (attribute)DRIVER_FLOAT("epsilon", c->epsilon));
  if (kind == ADAM) trial_attribute(t, (attribute)DRIVER_FLOAT("norm_coefficient_post", c->post));
  if (kind == ADAGRAD) trial_attribute(t, (attribute)DRIVER_FLOAT("decay_factor", c->decay));
}

static void set_mode(trial *t, int kind) {
  if (kind == STANDARD) trial_attribute(t, (attribute)DRIVER_STRING("mode", "standard"));
  if (kind == NESTEROV) trial_attribute(t, (attribute)DRIVER_STRING("mode", "nesterov"));
}

struct numbered {
  norma_element_type type; /* of R */
  double r;
  int64_t t;
};

static void begin_step(trial *t, int kind, struct numbered n) {
  trial_begin(t, TRAINING, optimizers[kind], 1);
  trial_numbers(t, n.type, 0, NULL, &n.r);
  trial_numbers(t, NORMA_INT64, 0, NULL, (double[]){(double)n.t});
}

/* Squares are no less than 0. */
static void append_tensor(trial *t, norma_element_type type, int rank, const int64_t *dims, bool squares) {
  trial_random(t, type, rank, dims);
  int index = t->call.input_count - 1;
  norma_tensor *tensor = &t->inputs[index].tensor;
  for (int64_t i = 0; squares && i < norma_tensor_count(tensor); i++)
    element_set_double(type, tensor->data, i, t->numbers[index][i] = fabs(t->numbers[index][i]));
}

static void expect_step(const trial *t, int kind, const struct coefficients *c, int tensors) {
  int histories = histories_of(kind);
  double r = t->numbers[0][0];
  int64_t steps = (int64_t)t->numbers[1][0];
  for (int k = 0; k < tensors; k++) {
    const norma_tensor *x = &t->inputs[2 + k].tensor;
    for (int64_t i = 0; i < norma_tensor_count(x); i++) {
      double in[4], out[3];
      for (int j = 0; j < 2 + histories; j++) in[j] = t->numbers[2 + j * tensors + k][i];
      step_of(kind, c, r, steps, in, out);
      for (int j = 0; j < 1 + histories; j++) {
        int output = j * tensors + k;
        if (t->driver.outputs[output].kind == NORMA_VALUE_NONE) continue;
        trial_expect_shape(t, output, x->type, x->rank, x->dims);
        trial_expect(t, output, i, out[j], x->type == NORMA_DOUBLE ? 1e-13 : 1e-5);
      }
    }
  }
}

static void steps_of_many_tensors(void **state) {
  uint64_t seed = 5;
  (void)state;
  for (int i = 0; i < 120; i++) {
    int kind = i % 4, tensors = (int)random_int(&seed, 1, 3);
    int of_each = 2 + histories_of(kind);
    struct coefficients c = {0.125f, 0.75f, 0.875f, 1e-3f, 0.25f, 0.5f};
    trial t;
    begin_step(
        &t, kind,
        (struct numbered){i % 3 ? NORMA_FLOAT : NORMA_DOUBLE, driver_random(&seed, 0, 0.5), random_int(&seed, -1, 4)});
    int64_t dims[3][2];
    for (int k = 0; k < tensors; k++) {
      dims[k][0] = random_int(&seed, 0, 5);
      dims[k][1] = i < 4 ? 5000 : random_int(&seed, 1, 40);
    }
    bool mixed = random_int(&seed, 0, 1), later = random_int(&seed, 0, 1);
    for (int j = 0; j < of_each; j++) {
      for (int k = 0; k < tensors; k++)
        append_tensor(&t, (mixed ? k + i : i) % 2 ? NORMA_FLOAT : NORMA_DOUBLE, 1 + (k + i) % 2, dims[k],
                      j == of_each - 1);
    }
    set_coefficients(&t, kind, &c);
    set_mode(&t, kind);
    if (i % 5 == 0) t.call.unwanted_outputs = later ? OUTPUT(0) : OUTPUT(tensors);
    trial_run(&t, tensors * (of_each - 1));
    expect_step(&t, kind, &c, tensors);
    trial_end(&t);
  }
}

/* R and T as lists of one element; attributes left out. */
static void defaults_hold(void **state) {
  (void)state;
  for (int kind = ADAM; kind <= ADAGRAD; kind++) {
    for (int64_t steps = 0; steps <= 1000; steps += 500) {
      trial t;
      trial_begin(&t, TRAINING, optimizers[kind], 1);
      trial_numbers(&t, NORMA_FLOAT, 1, (int64_t[]){1}, (double[]){0.01});
      trial_numbers(&t, NORMA_INT64, 1, (int64_t[]){1}, (double[]){(double)steps});
      for (int j = 0; j < 2 + histories_of(kind); j++)
        append_tensor(&t, NORMA_DOUBLE, 2, (int64_t[]){3, 7}, j == 1 + histories_of(kind));
      trial_run(&t, 1 + histories_of(kind));
      expect_step(&t, kind, &defaults, 1);
      trial_end(&t);
    }
  }
}

static void infinities_and_nan(void **state) {
  const double x[] = {1, 1, NAN, 1}, g[] = {INFINITY, NAN, 1, 0}, v[] = {0, 0, 0, -INFINITY}, h[] = {0, 0, 0, 0};
  (void)state;
  for (int kind = ADAM; kind <= NESTEROV; kind++) {
    trial t;
    begin_step(&t, kind, (struct numbered){NORMA_FLOAT, 0.5, 1});
    const double *const of_input[] = {x, g, kind == ADAGRAD ? h : v, h};
    for (int j = 0; j < 2 + histories_of(kind); j++) trial_numbers(&t, NORMA_FLOAT, 1, (int64_t[]){4}, of_input[j]);
    set_coefficients(&t, kind, &defaults);
    set_mode(&t, kind);
    trial_run(&t, 1 + histories_of(kind));
    expect_step(&t, kind, &defaults, 1);
    trial_end(&t);
  }
}

/* A step of Momentum whose input `wrong` has another type or shape; -1: none has. */
static void begin_wrong(trial *t, int wrong, norma_element_type type, int rank, const int64_t *dims) {
  trial_begin(t, TRAINING, "Momentum", 1);
  for (int i = 0; i < 5; i++) {
    if (i == wrong)
      trial_random(t, type, rank, dims);
    else
      trial_random(t, i == 1 ? NORMA_INT64 : NORMA_FLOAT, i < 2 ? 0 : 2, (int64_t[]){2, 3});
  }
  set_coefficients(t, STANDARD, &defaults);
  set_mode(t, STANDARD);
}

static void refusals(void **state) {
  static const struct {
    int input;
    norma_element_type type;
    int rank;
    int64_t dims[2];
    const char *what;
  } wrong[] = {
      {0, NORMA_FLOAT, 1, {2}, "two rates"},
      {0, NORMA_FLOAT, 1, {0}, "no rate"},
      {0, NORMA_FLOAT16, 0, {0}, "a rate of half precision"},
      {1, NORMA_INT64, 1, {2}, "two counts"},
      {1, NORMA_INT32, 0, {0}, "a count of 32 bits"},
      {2, NORMA_DOUBLE, 2, {2, 3}, "X of another type than its gradient"},
      {3, NORMA_DOUBLE, 2, {2, 3}, "a gradient of another type"},
      {4, NORMA_INT64, 2, {2, 3}, "a history of integers"},
      {3, NORMA_FLOAT, 2, {3, 2}, "a gradient of another shape"},
      {4, NORMA_FLOAT, 1, {6}, "a history of another rank"},
      {4, NORMA_FLOAT, 0, {0}, "a history that would be broadcast"},
  };
  trial t;
  (void)state;
  begin_wrong(&t, -1, NORMA_FLOAT, 0, NULL);
  trial_run(&t, 2);
  trial_end(&t);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    begin_wrong(&t, wrong[i].input, wrong[i].type, wrong[i].rank, wrong[i].dims);
    trial_expect_refusal(&t, 2, wrong[i].what);
    trial_end(&t);
  }
  begin_wrong(&t, -1, NORMA_FLOAT, 0, NULL);
  trial_random(&t, NORMA_FLOAT, 2, (int64_t[]){2, 3});
  trial_expect_refusal(&t, 2, "four inputs for one tensor");
  trial_end(&t);
  begin_wrong(&t, -1, NORMA_FLOAT, 0, NULL);
  trial_expect_refusal(&t, 3, "an output too many");
  trial_end(&t);
  begin_wrong(&t, -1, NORMA_FLOAT, 0, NULL);
  trial_attribute(&t, (attribute)DRIVER_STRING("mode", "heavy"));
  trial_expect_refusal(&t, 2, "an unknown mode");
  trial_end(&t);
  begin_wrong(&t, -1, NORMA_FLOAT, 0, NULL);
  t.call.attributes[0].name = "decay_factor";
  trial_expect_refusal(&t, 2, "an attribute of Adagrad");
  trial_end(&t);
}

static void a_sequence_is_no_tensor(void **state) {
  (void)state;
  for (int i = 0; i < 5; i++) {
    trial t;
    begin_wrong(&t, -1, NORMA_FLOAT, 0, NULL);
    value list = driver_list(&t.driver, NORMA_VALUE_SEQUENCE, 1, &t.call.inputs[i]);
    t.call.inputs[i] = &list;
    trial_expect_refusal(&t, 2, "a sequence");
    t.call.inputs[i] = &t.inputs[i];
    value_clear(&list);
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_of_many_tensors),   cmocka_unit_test(defaults_hold),
      cmocka_unit_test(infinities_and_nan),      cmocka_unit_test(refusals),
      cmocka_unit_test(a_sequence_is_no_tensor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

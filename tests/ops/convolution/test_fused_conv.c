/* FusedConv: a convolution of two axes (further ones are of size 1), worked out element by element in double. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct fused_activation {
  const char *name;
  float parameters[2];
  size_t count;
} fused_activations[] = {
    {"Relu", {0}, 0},
    {"Tanh", {0}, 0},
    {"Sigmoid", {0}, 0},
    {"LeakyRelu", {0.25f}, 1},
    {"LeakyRelu", {0.01f}, 0},
    {"Clip", {-0.25f, 0.75f}, 2},
    {"HardSigmoid", {0.3f, 0.6f}, 2},
    {"HardSigmoid", {0.2f, 0.5f}, 0},
};

#define FUSED_ACTIVATIONS ((int)(sizeof fused_activations / sizeof *fused_activations))

static double fused_activate(const struct fused_activation *activation, double x) {
  double a = (double)activation->parameters[0], b = (double)activation->parameters[1];
  if (!strcmp(activation->name, "Relu")) return fmax(x, 0);
  if (!strcmp(activation->name, "Tanh")) return tanh(x);
  if (!strcmp(activation->name, "Sigmoid")) return 1 / (1 + exp(-x));
  if (!strcmp(activation->name, "LeakyRelu")) return x < 0 ? a * x : x;
  if (!strcmp(activation->name, "Clip")) return fmin(fmax(x, a), b);
  return fmin(fmax(a * x + b, 0), 1);
}

struct fused_sizes {
  int64_t samples, groups, channels, outputs; /* channels and outputs of one group */
  int64_t height, width, kernel, pad, stride;
};

static int64_t fused_output(const struct fused_sizes *s, int64_t size) {
  return (size + 2 * s->pad - s->kernel) / s->stride + 1;
}

static double fused_convolve(const struct fused_sizes *s, const trial *t, int64_t index) {
  int64_t columns = fused_output(s, s->width), rows = fused_output(s, s->height), all = s->groups * s->outputs;
  int64_t column = index % columns, row = index / columns % rows, output = index / columns / rows % all;
  int64_t sample = index / columns / rows / all, group = output / s->outputs;
  double sum = t->numbers[2] ? t->numbers[2][output] : 0;
  for (int64_t c = 0; c < s->channels; c++) {
    for (int64_t k = 0; k < s->kernel * s->kernel; k++) {
      int64_t y = row * s->stride + k / s->kernel - s->pad, x = column * s->stride + k % s->kernel - s->pad;
      if (y < 0 || y >= s->height || x < 0 || x >= s->width) continue;
      int64_t channel = sample * s->groups * s->channels + group * s->channels + c;
      sum += t->numbers[0][(channel * s->height + y) * s->width + x] *
             t->numbers[1][(output * s->channels + c) * s->kernel * s->kernel + k];
    }
  }
  return sum;
}

/* `axes` beyond two are of size 1. */
static void fused_append(trial *t, norma_element_type type, int64_t first, int64_t second, int64_t height,
                         int64_t width, int axes) {
  trial_random(t, type, 2 + axes, (int64_t[]){first, second, height, width, 1, 1});
}

static void fused_begin(trial *t, norma_element_type type, const struct fused_sizes *s, int axes, bool has_b,
                        bool has_z) {
  int64_t channels = s->groups * s->channels, outputs = s->groups * s->outputs;
  static int64_t strides[4], pads[8];
  for (int i = 0; i < 4; i++) {
    strides[i] = i < 2 ? s->stride : 1;
    pads[i] = pads[axes + i] = 0;
  }
  for (int i = 0; i < 2; i++) pads[i] = pads[axes + i] = s->pad;
  trial_begin(t, "com.microsoft", "FusedConv", 1);
  t->seed = (uint64_t)(s->height * 31 + s->width * 7 + s->kernel);
  fused_append(t, type, s->samples, channels, s->height, s->width, axes);
  fused_append(t, type, outputs, s->channels, s->kernel, s->kernel, axes);
  if (has_b)
    trial_random(t, type, 1, &outputs);
  else if (has_z)
    trial_absent(t);
  if (has_z) fused_append(t, type, s->samples, outputs, fused_output(s, s->height), fused_output(s, s->width), axes);
  trial_attribute(t, (attribute)DRIVER_INT("group", s->groups));
  trial_attribute(t, (attribute)DRIVER_INTS("strides", (size_t)axes, strides));
  trial_attribute(t, (attribute)DRIVER_INTS("pads", 2 * (size_t)axes, pads));
}

static void fused_name_activation(trial *t, const char *name, size_t count, float *parameters) {
  trial_attribute(t, (attribute){.name = "activation", .kind = ATTRIBUTE_STRING, .s = {name, strlen(name)}});
  if (count > 0) trial_attribute(t, (attribute)DRIVER_FLOATS("activation_params", count, parameters));
}

static void adds_and_activates(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16};
  uint64_t seed = 11;
  (void)state;
  for (int i = 0; i < 96; i++) {
    struct fused_sizes s = {random_int(&seed, 1, 2), random_int(&seed, 1, 3), random_int(&seed, 1, 5),
                            random_int(&seed, 1, 9), random_int(&seed, 3, 9), random_int(&seed, 3, 20),
                            random_int(&seed, 1, 3), random_int(&seed, 0, 1), random_int(&seed, 1, 2)};
    if (i % 5 == 0) s.channels = s.outputs = 1; /* depthwise */
    norma_element_type type = types[i % 3];
    const struct fused_activation *activation = &fused_activations[i % FUSED_ACTIVATIONS];
    float parameters[2] = {activation->parameters[0], activation->parameters[1]};
    bool is_active = i % 7 != 0, has_z = random_int(&seed, 0, 1);
    trial t;
    fused_begin(&t, type, &s, i % 4 == 1 ? 4 : 2, random_int(&seed, 0, 1), has_z);
    if (is_active) fused_name_activation(&t, activation->name, activation->count, parameters);
    t.call.constants = random_int(&seed, 0, 1) ? INPUT(1) : 0;
    trial_run(&t, 1);
    int64_t count = norma_tensor_count(&t.driver.outputs[0].tensor);
    for (int64_t k = 0; k < count; k++) {
      double x = fused_convolve(&s, &t, k) + (has_z ? t.numbers[3][k] : 0);
      trial_expect(&t, 0, k, is_active ? fused_activate(activation, x) : x, type == NORMA_DOUBLE ? 1e-12 : 1e-4);
    }
    trial_end(&t);
  }
}

static void refusals(void **state) {
  const struct fused_sizes sizes = {1, 1, 2, 3, 5, 5, 3, 1, 1};
  float parameters[] = {0, 1, 2};
  static const struct {
    const char *name;
    size_t count;
    const char *what;
  } wrong[] = {
      {"Softmax", 0, "an activation that does not exist"},
      {"Relu", 1, "a parameter of Relu"},
      {"LeakyRelu", 2, "two parameters of LeakyRelu"},
      {"Clip", 1, "one parameter of Clip"},
      {"HardSigmoid", 3, "three parameters"},
      {"", 1, "a parameter of nothing"},
  };
  trial t;
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    fused_begin(&t, NORMA_FLOAT, &sizes, 2, true, true);
    fused_name_activation(&t, wrong[i].name, wrong[i].count, parameters);
    trial_expect_refusal(&t, 1, wrong[i].what);
    trial_end(&t);
  }
  fused_begin(&t, NORMA_FLOAT, &sizes, 2, true, false);
  trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, 3, 5, 4});
  trial_expect_refusal(&t, 1, "Z of another shape");
  trial_end(&t);
  fused_begin(&t, NORMA_FLOAT, &sizes, 2, true, false);
  trial_random(&t, NORMA_FLOAT, 3, (int64_t[]){3, 5, 5});
  trial_expect_refusal(&t, 1, "Z that would be broadcast");
  trial_end(&t);
  fused_begin(&t, NORMA_FLOAT, &sizes, 2, true, false);
  trial_random(&t, NORMA_DOUBLE, 4, (int64_t[]){1, 3, 5, 5});
  trial_expect_refusal(&t, 1, "Z of another type");
  trial_end(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(adds_and_activates), cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

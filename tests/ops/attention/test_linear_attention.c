/* LinearAttention against its recurrences in double precision, one element at a time. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct linear_case {
  norma_element_type type, state_type;
  const char *rule;
  int64_t batch, tokens, query_heads, heads, key_size, value_size;
  bool has_past, decays_by_row, shares_beta;
  float scale; /* 0: not given */
} linear_case;

static bool is_gated(const linear_case *c) {
  return strstr(c->rule, "gated") != NULL;
}

static bool is_delta(const linear_case *c) {
  return strstr(c->rule, "delta") != NULL;
}

static void make_inputs(const linear_case *c, uint64_t *seed, value inputs[6]) {
  const int64_t keys = c->heads * c->key_size, values = c->heads * c->value_size;
  memset(inputs, 0, 6 * sizeof *inputs);
  inputs[0] = random_tensor(seed, c->type, 3, (int64_t[]){c->batch, c->tokens, c->query_heads * c->key_size});
  inputs[1] = random_tensor(seed, c->type, 3, (int64_t[]){c->batch, c->tokens, keys});
  inputs[2] = random_tensor(seed, c->type, 3, (int64_t[]){c->batch, c->tokens, values});
  if (c->has_past) {
    inputs[3] = random_tensor(seed, c->state_type, 4, (int64_t[]){c->batch, c->heads, c->key_size, c->value_size});
  }
  if (is_gated(c)) {
    inputs[4] = random_tensor(seed, c->type, 3, (int64_t[]){c->batch, c->tokens, c->decays_by_row ? keys : c->heads});
  }
  if (is_delta(c)) {
    inputs[5] = random_tensor(seed, c->type, 3, (int64_t[]){c->batch, c->tokens, c->shares_beta ? 1 : c->heads});
  }
  for (int64_t i = 0; i < norma_tensor_count(&inputs[1].tensor); i++) { /* keys of a length that states stand */
    element_set_double(c->type, inputs[1].tensor.data, i, 0.4 * driver_element(&inputs[1], i));
  }
}

static driver_call make_call(const linear_case *c, const value inputs[6]) {
  driver_call call = {
      .op_type = "LinearAttention",
      .opset = 27,
      .attributes = {DRIVER_INT("q_num_heads", c->query_heads),
                     DRIVER_INT("kv_num_heads", c->heads),
                     {.name = "update_rule", .kind = ATTRIBUTE_STRING, .s = {c->rule, strlen(c->rule)}}},
      .input_count = 6,
      .output_count = 2};
  if (c->scale != 0) call.attributes[3] = (attribute)DRIVER_FLOAT("scale", c->scale);
  for (int i = 0; i < 6; i++) call.inputs[i] = inputs[i].kind ? &inputs[i] : NULL;
  return call;
}

static void compare(const linear_case *c, const char *what, const value *got, int64_t at, double expected) {
  const double precision = rounding_error(got->tensor.type), found = driver_element(got, at);
  const double allowed = 1e-5 * (1 + fabs(expected)) + 1.01 * precision * fabs(expected) + 6e-8;
  if (!(fabs(found - expected) <= allowed)) {
    fail_msg("%s %s, element %d of %s: expected %.9g, got %.9g", c->rule, norma_element_type_name(c->type), (int)at,
             what, expected, found);
  }
}

/* One head of one sample. */
static void check_head(const linear_case *c, double *const in[6], const driver *driver, int64_t b, int64_t h) {
  const int64_t group = c->query_heads / c->heads, dk = c->key_size, dv = c->value_size;
  double *state = calloc((size_t)(dk * dv) + 1, sizeof *state);
  const int64_t state_at = (b * c->heads + h) * dk * dv;
  for (int64_t i = 0; in[3] && i < dk * dv; i++) state[i] = in[3][state_at + i];
  for (int64_t t = 0; t < c->tokens; t++) {
    const int64_t token = b * c->tokens + t;
    const double *key = in[1] + (token * c->heads + h) * dk, *values = in[2] + (token * c->heads + h) * dv;
    for (int64_t j = 0; j < dv; j++) {
      double read = 0;
      for (int64_t i = 0; i < dk; i++) {
        if (in[4])
          state[i * dv + j] *= exp(in[4][c->decays_by_row ? (token * c->heads + h) * dk + i : token * c->heads + h]);
        read += key[i] * state[i * dv + j];
      }
      const double beta = in[5] ? in[5][c->shares_beta ? token : token * c->heads + h] : 0;
      const double written = in[5] ? beta * (values[j] - read) : values[j];
      for (int64_t i = 0; i < dk; i++) state[i * dv + j] += key[i] * written;
      for (int64_t g = 0; g < group; g++) {
        const int64_t head = token * c->query_heads + h * group + g;
        double sum = 0;
        for (int64_t i = 0; i < dk; i++) sum += in[0][head * dk + i] * state[i * dv + j];
        const double scale = c->scale != 0 ? (double)c->scale : 1 / sqrt((double)dk);
        compare(c, "output", &driver->outputs[0], head * dv + j, scale * sum);
      }
    }
  }
  for (int64_t i = 0; i < dk * dv; i++) compare(c, "present_state", &driver->outputs[1], state_at + i, state[i]);
  free(state);
}

static void check(const linear_case *c, uint64_t *seed) {
  value inputs[6];
  double *numbers[6] = {NULL};
  make_inputs(c, seed, inputs);
  for (int i = 0; i < 6; i++) {
    if (inputs[i].kind) numbers[i] = tensor_doubles(&inputs[i]);
  }
  driver driver, other;
  driver_init(&driver);
  driver_call call = make_call(c, inputs);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  assert_int_equal(driver.outputs[0].tensor.type, c->type);
  assert_int_equal(driver.outputs[1].tensor.type, c->has_past ? c->state_type : c->type);
  for (int64_t b = 0; b < c->batch; b++) {
    for (int64_t h = 0; h < c->heads; h++) check_head(c, numbers, &driver, b, h);
  }
  for (int workers = 2; workers < 8; workers += 5) { /* the same to the bit */
    driver_init(&other);
    call.workers = workers;
    if (driver_run(&other, &call) != NORMA_OK) fail_msg("%s", other.error.message);
    for (int o = 0; o < 2; o++) assert_true(same_tensor(&driver.outputs[o].tensor, &other.outputs[o].tensor));
    driver_finish(&other);
  }
  for (int i = 0; i < 6; i++) {
    free(numbers[i]);
    random_tensor_free(&inputs[i]);
  }
  driver_finish(&driver);
}

static void follows_its_recurrences(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const char *const rules[] = {"linear", "gated", "delta", "gated_delta"};
  uint64_t seed = 4;
  for (int i = 0; i < 200; i++) {
    linear_case c = {.type = types[i % 3], .state_type = types[i / 3 % 3], .rule = rules[i % 4]};
    c.batch = random_int(&seed, 0, 3);
    c.tokens = random_int(&seed, 0, 5);
    c.heads = random_int(&seed, 1, 3);
    c.query_heads = c.heads * random_int(&seed, 1, 3);
    c.key_size = random_int(&seed, 1, 20);
    c.value_size = random_of(&seed, 1, 3, 16, 17, 70, 130);
    c.has_past = random_int(&seed, 0, 1);
    c.decays_by_row = random_int(&seed, 0, 1);
    c.shares_beta = random_int(&seed, 0, 1);
    c.scale = random_int(&seed, 0, 1) ? 0.7f : 0;
    check(&c, &seed);
  }
}

static void assert_refused(driver *driver, const driver_call *call, const char *text) {
  assert_int_not_equal(driver_run(driver, call), NORMA_OK);
  if (!strstr(driver->error.message, text)) fail_msg("expected \"%s\", got \"%s\"", text, driver->error.message);
}

static void refuses_what_is_wrong(void **state) {
  (void)state;
  uint64_t seed = 1;
  linear_case c = {NORMA_FLOAT, NORMA_FLOAT, "gated_delta", 2, 3, 4, 2, 5, 6, true, true, false, 0};
  value inputs[6];
  make_inputs(&c, &seed, inputs);
  const driver_call call = make_call(&c, inputs);
  driver driver;
  driver_init(&driver);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  static const char *const names[] = {"query", "key", "value", "past_state", "decay", "beta"};
  for (int i = 0; i < 6; i++) {
    for (int d = 0; d < inputs[i].tensor.rank; d++) {
      int64_t dims[4];
      memcpy(dims, inputs[i].tensor.dims, sizeof dims);
      dims[d]++;
      value wrong = random_tensor(&seed, NORMA_FLOAT, inputs[i].tensor.rank, dims);
      driver_call changed = call;
      changed.inputs[i] = &wrong;
      assert_int_not_equal(driver_run(&driver, &changed), NORMA_OK);
      random_tensor_free(&wrong);
    }
    value flat = random_tensor(&seed, NORMA_FLOAT, 2, (int64_t[]){2, 3});
    driver_call changed = call;
    changed.inputs[i] = &flat;
    assert_refused(&driver, &changed, names[i]);
    random_tensor_free(&flat);
  }
  driver_call changed = call;
  changed.inputs[4] = NULL;
  assert_refused(&driver, &changed, "needs the input decay");
  changed = call;
  changed.inputs[5] = NULL;
  assert_refused(&driver, &changed, "needs the input beta");
  changed = call;
  changed.attributes[0].i = 3;
  assert_refused(&driver, &changed, "not a multiple");
  changed.attributes[0].i = 0;
  assert_refused(&driver, &changed, "not a multiple");
  changed = call;
  changed.attributes[2] = (attribute)DRIVER_STRING("update_rule", "sum");
  assert_refused(&driver, &changed, "no update_rule 'sum'");
  for (int i = 0; i < 6; i++) random_tensor_free(&inputs[i]);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(follows_its_recurrences),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

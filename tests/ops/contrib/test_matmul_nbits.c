/* MatMulNBits against its formula in double precision: bits, blocks, types, zero points, g_idx, bias, levels. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { IN_A, IN_B, IN_SCALES, IN_ZEROS, IN_GROUPS, IN_BIAS };
enum zeros { NO_ZEROS, PACKED_ZEROS, TYPED_ZEROS };

typedef struct nbits_case {
  norma_element_type type;
  int64_t rows, n, k, bits, block, level;
  enum zeros zeros;
  bool groups, bias, constant;
} nbits_case;

static int64_t blocks_of(const nbits_case *c) {
  return (c->k + c->block - 1) / c->block;
}

static double number(const double *bytes, int64_t bit, int64_t bits) {
  return (double)((int)bytes[bit / 8] >> (bit % 8) & ((1 << bits) - 1));
}

static double weight(const nbits_case *c, const trial *t, int64_t p, int64_t j) {
  int64_t blocks = blocks_of(c), group = c->groups ? (int64_t)t->numbers[IN_GROUPS][p] : p / c->block;
  double zero = (double)(1 << (c->bits - 1));
  if (c->zeros == TYPED_ZEROS) zero = t->numbers[IN_ZEROS][j * blocks + group];
  if (c->zeros == PACKED_ZEROS)
    zero = number(t->numbers[IN_ZEROS], j * ((blocks * c->bits + 7) / 8) * 8 + group * c->bits, c->bits);
  return t->numbers[IN_SCALES][j * blocks + group] *
         (number(t->numbers[IN_B], (j * blocks * c->block + p) * c->bits, c->bits) - zero);
}

/* The largest magnitude of a row's block, which level 4 makes 127. */
static double largest(const nbits_case *c, const double *row, int64_t p) {
  double most = 0;
  int64_t first = p / c->block * c->block;
  for (int64_t i = first; i < first + c->block && i < c->k; i++) most = fmax(most, fabs(row[i]));
  return most;
}

static void append_bytes(trial *t, int64_t count) {
  double *bytes = malloc((size_t)count * sizeof *bytes);
  for (int64_t i = 0; i < count; i++) bytes[i] = (double)random_int(&t->seed, 0, 255);
  trial_numbers(t, NORMA_UINT8, 1, &count, bytes);
  free(bytes);
}

static void begin_case(const nbits_case *c, trial *t, uint64_t seed) {
  int64_t blocks = blocks_of(c), groups = c->n * blocks;
  double *indices = malloc((size_t)c->k * sizeof *indices);
  trial_begin(t, "com.microsoft", "MatMulNBits", 1);
  t->seed = seed;
  trial_random(t, c->type, 2, (int64_t[]){c->rows, c->k});
  append_bytes(t, groups * c->block * c->bits / 8);
  norma_tensor *b = &t->inputs[IN_B].tensor;
  norma_tensor_init(b, NORMA_UINT8, 3, (int64_t[]){c->n, blocks, c->block * c->bits / 8}, b->data);
  trial_random(t, c->type, 2, (int64_t[]){c->n, blocks});
  if (c->zeros == PACKED_ZEROS)
    append_bytes(t, c->n * ((blocks * c->bits + 7) / 8));
  else if (c->zeros == TYPED_ZEROS)
    trial_random(t, c->type, 2, (int64_t[]){c->n, blocks});
  else
    trial_absent(t);
  if (c->zeros == TYPED_ZEROS) trial_scale(t, 8);
  for (int64_t i = 0; i < c->k; i++) indices[i] = (double)random_int(&t->seed, 0, blocks - 1);
  if (c->groups)
    trial_numbers(t, NORMA_INT32, 1, &c->k, indices);
  else
    trial_absent(t);
  if (c->bias)
    trial_random(t, c->type, 1, &c->n);
  else
    trial_absent(t);
  if (c->constant) t->call.constants = 1u << IN_B | 1u << IN_SCALES | (c->zeros ? 1u << IN_ZEROS : 0);
  trial_attribute(t, (attribute)DRIVER_INT("K", c->k));
  trial_attribute(t, (attribute)DRIVER_INT("N", c->n));
  trial_attribute(t, (attribute)DRIVER_INT("bits", c->bits));
  trial_attribute(t, (attribute)DRIVER_INT("block_size", c->block));
  trial_attribute(t, (attribute)DRIVER_INT("accuracy_level", c->level));
  free(indices);
}

static void check_case(const nbits_case *c, const struct kernel_table *kernels, uint64_t seed) {
  trial t;
  begin_case(c, &t, seed);
  t.call.kernels = kernels;
  trial_run(&t, 1);
  trial_expect_shape(&t, 0, c->type, 2, (int64_t[]){c->rows, c->n});
  bool quantizes = c->level == 4 && !c->groups;
  for (int64_t i = 0; i < c->rows; i++) {
    const double *row = t.numbers[IN_A] + i * c->k;
    for (int64_t j = 0; j < c->n; j++) {
      double y = c->bias ? t.numbers[IN_BIAS][j] : 0, size = 1, steps = 0;
      for (int64_t p = 0; p < c->k; p++) {
        double w = weight(c, &t, p, j);
        y += row[p] * w;
        size += fabs(row[p] * w);
        if (quantizes) steps += fabs(w) * largest(c, row, p) / 254; /* half of a step of the row's numbers */
      }
      trial_expect(&t, 0, i * c->n + j, y, 4e-6 * size + steps);
    }
  }
  trial_end(&t);
}

static void every_option_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  const struct kernel_table *kernels;
  (void)state;
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    uint64_t seed = 5;
    for (int i = 0; i < 90; i++) {
      nbits_case c = {.type = types[random_int(&seed, 0, 2)],
                      .rows = random_int(&seed, 1, random_int(&seed, 0, 1) ? 4 : 12),
                      .n = random_int(&seed, 1, 80),
                      .k = random_int(&seed, 1, random_int(&seed, 0, 3) ? 100 : 600),
                      .bits = (int64_t)1 << random_int(&seed, 1, 3),
                      .block = (int64_t)16 << random_int(&seed, 0, 3),
                      .level = random_int(&seed, 0, 1) ? 4 : random_int(&seed, 0, 3),
                      .zeros = (enum zeros)random_int(&seed, 0, 2),
                      .groups = random_int(&seed, 0, 5) == 0,
                      .bias = random_int(&seed, 0, 1),
                      .constant = random_int(&seed, 0, 1)};
      check_case(&c, kernels, seed);
    }
  }
}

/* Bits of a row are the same in any number of rows: direct, in blocks, and in more than one block. */
static void rows_do_not_depend_on_others(void **state) {
  static const int64_t counts[] = {1, 3, 20, 150};
  (void)state;
  for (int64_t level = 0; level <= 4; level += 4) {
    trial all;
    const nbits_case whole = {NORMA_FLOAT, 150, 70, 700, 4, 32, level, PACKED_ZEROS, false, true, true};
    begin_case(&whole, &all, 3);
    trial_run(&all, 1);
    for (int i = 0; i < 4; i++) {
      trial few;
      nbits_case c = whole;
      c.rows = counts[i];
      begin_case(&whole, &few, 3);
      norma_tensor *a = &few.inputs[IN_A].tensor;
      norma_tensor_init(a, NORMA_FLOAT, 2, (int64_t[]){c.rows, c.k}, a->data);
      trial_run(&few, 1);
      assert_memory_equal(few.driver.outputs[0].tensor.data, all.driver.outputs[0].tensor.data,
                          (size_t)(c.rows * c.n) * sizeof(float));
      trial_end(&few);
    }
    trial_end(&all);
  }
}

static void weights_without_elements_are_zero(void **state) {
  (void)state;
  for (int bias = 0; bias < 2; bias++) {
    trial t;
    const nbits_case c = {NORMA_FLOAT16, 3, 5, 40, 4, 32, 0, NO_ZEROS, false, bias, false};
    begin_case(&c, &t, 3);
    norma_tensor *b = &t.inputs[IN_B].tensor;
    norma_tensor_init(b, NORMA_UINT8, 3, (int64_t[]){0, 2, 16}, b->data);
    trial_run(&t, 1);
    for (int64_t i = 0; i < 15; i++) trial_expect(&t, 0, i, bias ? t.numbers[IN_BIAS][i % 5] : 0, 0);
    trial_end(&t);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const nbits_case good = {NORMA_FLOAT, 3, 5, 40, 4, 32, 0, PACKED_ZEROS, true, true, false};
  static const char *const whats[] = {"no K",
                                      "a block of 24",
                                      "3 bits",
                                      "level 5",
                                      "a row of another length",
                                      "fewer weights",
                                      "fewer scales",
                                      "fewer zeros",
                                      "a short bias",
                                      "a short g_idx",
                                      "a group that is not there",
                                      "prepacked weights"};
  (void)state;
  for (int i = 0; i < (int)(sizeof whats / sizeof *whats); i++) {
    trial t;
    begin_case(&good, &t, 3);
    norma_tensor *in[6];
    for (int k = 0; k < 6; k++) in[k] = &t.inputs[k].tensor;
    if (i == 0) trial_attribute(&t, (attribute)DRIVER_INT("K", 0));
    if (i == 1) trial_attribute(&t, (attribute)DRIVER_INT("block_size", 24));
    if (i == 2) trial_attribute(&t, (attribute)DRIVER_INT("bits", 3));
    if (i == 3) trial_attribute(&t, (attribute)DRIVER_INT("accuracy_level", 5));
    if (i == 4) norma_tensor_init(in[IN_A], NORMA_FLOAT, 2, (int64_t[]){3, 39}, in[IN_A]->data);
    if (i == 5) norma_tensor_init(in[IN_B], NORMA_UINT8, 3, (int64_t[]){5, 2, 15}, in[IN_B]->data);
    if (i == 6) norma_tensor_init(in[IN_SCALES], NORMA_FLOAT, 1, (int64_t[]){9}, in[IN_SCALES]->data);
    if (i == 7) norma_tensor_init(in[IN_ZEROS], NORMA_UINT8, 1, (int64_t[]){4}, in[IN_ZEROS]->data);
    if (i == 8) norma_tensor_init(in[IN_BIAS], NORMA_FLOAT, 1, (int64_t[]){4}, in[IN_BIAS]->data);
    if (i == 9) norma_tensor_init(in[IN_GROUPS], NORMA_INT32, 1, (int64_t[]){39}, in[IN_GROUPS]->data);
    if (i == 10) element_set_double(NORMA_INT32, in[IN_GROUPS]->data, 3, 2);
    if (i == 11) trial_attribute(&t, (attribute)DRIVER_INT("weight_prepacked", 1));
    trial_expect_refusal(&t, 1, whats[i]);
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_option_matches_the_formula), cmocka_unit_test(rows_do_not_depend_on_others),
      cmocka_unit_test(weights_without_elements_are_zero), cmocka_unit_test(what_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

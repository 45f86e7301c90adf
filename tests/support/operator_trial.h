/*
 * One call of an operator on inputs that the test keeps in double precision as well, for comparison with a naive
 * computation:
 *
 *     trial t;
 *     trial_begin(&t, "", "Attention", 24);
 *     trial_random(&t, NORMA_FLOAT16, 3, (int64_t[]){1, 2, 8});
 *     trial_absent(&t);
 *     trial_attribute(&t, (attribute)DRIVER_INT("is_causal", 1));
 *     trial_run(&t, 2);                                      (on 1, 2, 3 and 7 workers, with the same bits)
 *     ... t.numbers[0], trial_output(&t, 1, i) ...
 *     trial_end(&t);
 */
#ifndef TESTS_SUPPORT_OPERATOR_TRIAL_H
#define TESTS_SUPPORT_OPERATOR_TRIAL_H

#include "tests/support/operator_driver.h"

typedef struct trial {
  driver driver;
  driver_call call;
  uint64_t seed; /* of trial_random; any number but 0 */
  value inputs[DRIVER_MAX];
  double *numbers[DRIVER_MAX]; /* the inputs' elements, as their type has rounded them */
} trial;

void trial_begin(trial *trial, const char *domain, const char *op_type, int64_t opset);
void trial_end(trial *trial);

/* Append an input. Random elements are uniform in -1 .. 1, whole numbers -9 .. 9. */
void trial_random(trial *trial, norma_element_type type, int rank, const int64_t *dims);
void trial_numbers(trial *trial, norma_element_type type, int rank, const int64_t *dims, const double *elements);
void trial_absent(trial *trial);
void trial_attribute(trial *trial, attribute attribute);
/* Multiplies the elements of the last input. */
void trial_scale(trial *trial, double factor);

/* Fails the test if the run fails. */
void trial_run(trial *trial, int outputs);
/* Fails the test unless the run fails. */
void trial_expect_refusal(trial *trial, int outputs, const char *what);

double trial_output(const trial *trial, int output, int64_t index);
/* Fails the test unless output element `index` is `expected` but for one rounding to the output's type and an absolute
 * error; NaN and infinities must be the same. */
void trial_expect(const trial *trial, int output, int64_t index, double expected, double error);
void trial_expect_shape(const trial *trial, int output, norma_element_type type, int rank, const int64_t *dims);

#endif

/*
 * RNN, GRU and LSTM written out from their equations, in double precision and one element at a time; and random cases
 * that compare an operator with that: every activation function, direction, layout, lengths, initial states, peepholes,
 * clip, coupled gates, absent outputs, element types, constants or not, numbers of workers.
 */
#ifndef TESTS_OPS_RECURRENT_NAIVE_RECURRENT_H
#define TESTS_OPS_RECURRENT_NAIVE_RECURRENT_H

#include "tests/support/operator_driver.h"

typedef struct naive_recurrent {
  const char *op_type;
  int gates, functions; /* per direction */
  bool has_cell;
  const char *default_functions[3];
  int64_t opset;
  norma_element_type type;
  int64_t steps, batch, inputs, hidden;
  int directions;
  bool reverse, batch_first, linear_before_reset, input_forget;
  double clip;               /* 0: none */
  bool names_functions;      /* else those of the definition */
  int function_of[6];        /* indices into naive_functions */
  float alphas[6], betas[6]; /* of those that take them, in order */
  int alpha_count, beta_count;
  bool has_bias, has_lengths, has_h, has_c, has_peepholes;
  uint32_t constants, absent_outputs;
  int workers;
  const struct kernel_table *kernels;
} naive_recurrent;

/* The names of the definition, and how many numbers each takes. */
typedef struct naive_function {
  const char *name;
  int takes; /* 0: none, 1: alpha, 2: alpha and beta */
} naive_function;

extern const naive_function naive_functions[];
enum { NAIVE_FUNCTIONS = 11 };

/* A case drawn from *seed, of the operator that `like` names (op_type, gates, functions, has_cell, defaults). */
naive_recurrent naive_random_case(const naive_recurrent *like, uint64_t *seed, int index);

/* Runs the operator and compares; fails the test where they differ. Inputs are drawn from *seed. */
void naive_check(const naive_recurrent *c, uint64_t *seed);

/* That the number of workers and whether weights are constant make no difference to the bit. */
void naive_check_bits(const naive_recurrent *like, uint64_t *seed);

/* That a sample alone gives the bits that it gives in a batch. */
void naive_check_rows(const naive_recurrent *like, uint64_t *seed);

/* That what is wrong is refused, for inputs that all three operators have. */
void naive_check_refusals(const naive_recurrent *like);

#endif

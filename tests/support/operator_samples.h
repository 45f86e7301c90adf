/*
 * Small nodes of operators with facts (ops/facts.h), for tests that hold for all of them: operators that the optimiser
 * may treat alike must be alike in these respects.
 */
#ifndef TESTS_SUPPORT_OPERATOR_SAMPLES_H
#define TESTS_SUPPORT_OPERATOR_SAMPLES_H

#include "tests/support/workbench.h"

#define SAMPLE_MOST_INPUTS 9

typedef struct operator_sample {
  const char *op;
  int64_t opset;
  /* Of inputs: "2x3" random floats of this shape in -2 .. 2, "+2x3" in 0.5 .. 2, "%2x3" in 0 .. 1, "scalar" one of
   * them, "=0.5" a given number, "[1,2]" a list of int64; in front of a shape a type, as in "double 2x3". NULL:
   * absent. */
  const char *inputs[SAMPLE_MOST_INPUTS];
  uint32_t constants; /* inputs that never change */
  attribute attributes[5];
  bool is_identity; /* the fact of that name says so */
  int output_count; /* 0: 1 */
} operator_sample;

/* Visits all samples; NULL past the end. */
const operator_sample *sample_at(size_t index);
/* The node with fresh inputs of the bench. */
driver_call sample_call(workbench *bench, const operator_sample *sample);

#endif

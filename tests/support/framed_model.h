/* A model whose main graph is planned and run in a frame, without a session around it. */
#ifndef TESTS_SUPPORT_FRAMED_MODEL_H
#define TESTS_SUPPORT_FRAMED_MODEL_H

#include "engine/run/frame.h"
#include "engine/run/subgraph.h"
#include "tests/support/built_model.h"

#define FRAMED_MOST_INPUTS 4

typedef struct framed_model {
  norma_runtime *runtime; /* of one thread */
  norma_model *model;
  executor executor;
  subgraph_cache subgraphs;
  plan *plan;
  frame *frame;
  char *arena; /* as large as the plan says, and filled with garbage */
  norma_error error;
} framed_model;

/* Loads what the builder has (at -O 0, with the operators that the caller may have registered with `runtime`, or NULL),
 * which is destroyed, and plans for inputs like these. */
void framed_open(framed_model *framed, model_builder *builder, norma_runtime *runtime, const value *inputs,
                 bool profile);
void framed_close(framed_model *framed); /* nothing that the model did not hold before may be left */

/* Gives the frame its inputs, in the order of the graph. */
void framed_set(framed_model *framed, const value *inputs);
norma_status framed_run(framed_model *framed);

/* The tensor that the value of that name has now; fails the test where it has none. */
const norma_tensor *framed_tensor(const framed_model *framed, const char *name);

/* A tensor of the caller's numbers. */
value framed_floats(int rank, const int64_t *dims, float *data);

#endif

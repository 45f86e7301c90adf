/*
 * A model as constant data of a C program, and what runs it: no file is read, and no memory taken but what the program
 * gives. `norma compile` (engine/compile/write_source.h) writes the data.
 *
 * The plan is fixed: steps, places of values in the arena, packed weights. Only what operators decode from attributes
 * and shapes is made when the model is opened, by the operators' own functions, which is why results are those of a
 * session on the same kernel table, to the bit.
 */
#ifndef ENGINE_COMPILE_COMPILED_MODEL_H
#define ENGINE_COMPILE_COMPILED_MODEL_H

#include "engine/execute/executor.h"

typedef enum compiled_place {
  COMPILED_CONSTANT, /* contents in the data */
  COMPILED_INPUT,    /* memory of an input */
  COMPILED_ARENA
} compiled_place;

/* A value of the plan. */
typedef struct compiled_slot {
  value_info info; /* a tensor of known shape, whose elements are no strings */
  compiled_place place;
  const value *contents; /* CONSTANT */
  size_t offset;         /* ARENA */
  int input;             /* INPUT: which one */
} compiled_slot;

typedef struct compiled_step {
  const node *node;
  const int *inputs, *outputs; /* slots, -1 where absent */
  bool skipped;                /* a view of its input's memory: nothing to do */
  size_t scratch_bytes, scratch_offset;
  size_t worker_scratch_bytes, worker_scratch_offset;
} compiled_step;

/* What an operator has made of constants, by the node that asks for it and the operator's key. */
typedef struct compiled_packed {
  const node *node;
  uint64_t key;
  const void *data;
} compiled_packed;

typedef struct compiled_model {
  const struct kernel_table *kernels; /* whose layout packed constants have */
  bool exact, flush_denormals;
  int slot_count, step_count, packed_count, input_count, output_count;
  const compiled_slot *slots;
  const compiled_step *steps;
  const compiled_packed *packed;
  const int *outputs; /* slots */
  graph *graph;       /* of the nodes: gives them the session's memory */
  size_t arena_bytes;
} compiled_model;

/* A model that is open; all that it holds lies in `pool`. One thread at a time. */
typedef struct compiled_session {
  const compiled_model *model;
  memory memory; /* of the pool */
  region region;
  char *pool_next, *pool_end;
  executor executor;
  value *values;         /* by slot */
  run_context *contexts; /* by step */
} compiled_session;

/* An upper bound of what compiled_open needs for a model of these counts: of slots, steps and packed constants, and of
 * inputs and outputs of all steps together, whose states take state_bytes. What operators take as they read attributes,
 * and while they run, comes on top of it. */
size_t compiled_pool_bytes(size_t slots, size_t steps, size_t packed, size_t operands, size_t state_bytes);

/* Opens a model in `pool`, bytes aligned to 64, of which *used (may be NULL) tells how many are in use. The arena, of
 * model->arena_bytes bytes aligned to 64, and the inputs' memory, also aligned to 64, are the caller's for as long as
 * the session is used; there is nothing to close. Errors: BUDGET (the pool is too small), UNSUPPORTED (this CPU does
 * not run the kernel table), and what operators say. */
norma_status compiled_open(compiled_session *session, const compiled_model *model, void *pool, size_t pool_bytes,
                           void *arena, void *const *inputs, size_t *used, norma_error *error);

/* Reads the inputs' memory; outputs are then at compiled_output. */
norma_status compiled_run(compiled_session *session, norma_error *error);

/* Valid until the next run. */
const norma_tensor *compiled_output(const compiled_session *session, int index);

#endif

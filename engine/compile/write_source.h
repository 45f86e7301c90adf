/* A model with its plan as C: data for compiled_model.h. */
#ifndef ENGINE_COMPILE_WRITE_SOURCE_H
#define ENGINE_COMPILE_WRITE_SOURCE_H

#include "engine/graph/model.h"
#include "engine/plan/plan.h"

/* What is written, and what for. */
typedef struct source_request {
  const norma_model *model;
  const plan *plan;
  const executor *executor; /* that the plan was made with: one worker, a table without overrides */
  const char *name;         /* an identifier of C; begins all names that the program sees */
  size_t spare_bytes;       /* of the pool, for what operators take while they run */
  norma_write write;
  void *write_context;
} source_request;

/* NAME.c: all data, memory for them, and NAME_open and NAME_run. Errors: UNSUPPORTED (the plan is not fixed, strings,
 * subgraphs; all that is wrong is named), FILE (`write` said so), OUT_OF_MEMORY, BUDGET, ARGUMENT (a table with
 * overrides). */
norma_status source_write(const source_request *request, norma_error *error);

/* NAME.h: what the program calls, and where inputs and outputs are. */
norma_status source_write_header(const source_request *request, norma_error *error);

/* NAME_main.c: a program that reads inputs from files of raw elements, runs, and prints or writes the outputs. */
norma_status source_write_main(const source_request *request, norma_error *error);

#endif

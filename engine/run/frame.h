/*
 * A frame: the values of one plan while it runs, and the runs of subgraphs below it.
 */
#ifndef ENGINE_RUN_FRAME_H
#define ENGINE_RUN_FRAME_H

#include "engine/plan/plan.h"

typedef struct step_profile {
  uint64_t runs, total_ns, start_ns, last_ns;
} step_profile;

typedef struct frame {
  const plan *plan;
  memory *memory;
  struct frame *outer;   /* while running: the frame of the graph around this one */
  value *values;         /* by slot */
  run_context *contexts; /* by step */
  void **overrides;      /* by slot: memory that an ARENA root uses instead of the arena; NULL entries */
  int *dynamic;          /* the DYNAMIC slots */
  int *input_views;      /* ARENA slots that are views of inputs or captures, which move from run to run */
  int dynamic_count, input_view_count;
  char *arena;           /* what the values are bound to */
  step_profile *profile; /* by step; NULL until runs are measured */
  bool is_profiled;      /* runs are measured */
  bool running;
} frame;

norma_status frame_create(memory *memory, const plan *plan, executor *executor, bool profile, frame **frame,
                          norma_error *error);
void frame_destroy(frame *frame); /* NULL is fine; the plan is left alone */

/* Whether later runs are measured; what was measured stays. Errors: OUT_OF_MEMORY, BUDGET. */
norma_status frame_set_profile(frame *frame, bool is_profiled, norma_error *error);

/* Binds values and scratch to an arena of plan->arena_bytes bytes. */
void frame_bind(frame *frame, void *arena);

/* Sets the value of a graph input or capture for the next run: a borrowed view of *contents. Where these are owned,
 * what the run makes of them may share them rather than copy. */
void frame_set(frame *frame, int slot, const value *contents);

/* Lets an ARENA root, and what lies in it, use other memory than the arena's from now on. */
void frame_place(frame *frame, int root, void *data);

/* Runs all steps. Afterwards values of slots that are kept can be read until the next run or frame_clear. */
norma_status frame_run(frame *frame, executor *executor, norma_error *error);

/* Releases dynamic values. */
void frame_clear(frame *frame);

/* The value of a graph value of this frame's graph or an outer one; NULL if it is not there. */
const value *frame_find(const frame *frame, const graph_value *value);
/* Whether its contents are the same in all runs of the plan that it belongs to. */
bool frame_knows(const frame *frame, const graph_value *value);

#endif

/*
 * The execution plan: the steps of one graph for given input shapes, and where every value lives.
 *
 * A plan is immutable; a frame (engine/run/frame.h) is the mutable state of one run of it. Values live in slots. Steps
 * whose shapes are known are prepared here; "late" steps have shapes that depend on data and are prepared when they
 * run.
 */
#ifndef ENGINE_PLAN_PLAN_H
#define ENGINE_PLAN_PLAN_H

#include "engine/plan/shape_inference.h"

typedef enum slot_kind {
  SLOT_CONSTANT, /* contents in the model */
  SLOT_KNOWN,    /* contents found while planning, or of a capture that the plan was made for; in the plan */
  SLOT_INPUT,    /* given for each run */
  SLOT_CAPTURE,  /* in an outer frame */
  SLOT_ARENA,    /* a tensor at an offset of the arena */
  SLOT_DYNAMIC   /* allocated while running */
} slot_kind;

typedef struct slot {
  const graph_value *value;
  slot_kind kind;
  value_info info;
  const struct norma_value *contents; /* CONSTANT, KNOWN */
  int root; /* ARENA: the slot whose memory this one is an alias of, often itself. Views of inputs: the input's slot */
  size_t offset; /* of ARENA roots without a parent */
  int parent;    /* of ARENA roots: the root inside whose memory this one lies, as a part of its contents; -1: none */
  size_t parent_offset;
  int first, last; /* steps: the one that writes, the last one that reads (INT_MAX: kept after the run) */
} slot;

typedef struct step {
  const node *node;
  void *state; /* prepared, unless late */
  bool late;
  bool skipped;          /* a view, an alias of its input's memory: nothing to do */
  int *inputs, *outputs; /* slots, -1 where absent */
  size_t scratch_bytes, scratch_offset;
  size_t worker_scratch_stride, worker_scratch_offset;
  const char *kernel_name;
  double flops, bytes;
  int release_count; /* dynamic slots that nobody reads after this step */
  int *releases;
} step;

typedef struct plan {
  memory *memory;
  region region;
  const graph *graph;
  int slot_count;
  slot *slots;
  int *slot_of_value; /* by value id of this graph; -1 where it has none */
  int *inputs;        /* slot of each graph input, -1 where it is a constant */
  int *outputs;       /* slot of each graph output */
  int *captures;      /* slot of each of graph->captures */
  int step_count;
  step *steps;
  size_t arena_bytes;
  bool is_static;          /* no late step: a run allocates nothing */
  value_info *input_infos; /* what the plan is for, by graph input */
  value_info *capture_infos;
  value *capture_values; /* what the plan is for, too: by graph->captures; NONE where contents do not matter */
  inferrer inferrer;     /* keeps known contents */
} plan;

typedef struct plan_request {
  executor *executor; /* for evaluation and prepare */
  const graph *graph;
  const value_info *inputs;           /* by graph input; constant ones are ignored */
  const value_info *captures;         /* by graph->captures */
  const value *const *capture_values; /* contents of these that the plan may rely on, or NULL entries */
  const plan *similar;                /* of the same graph for other inputs, which saves time; NULL: none */
  bool keep_all;                      /* -O 0: every node becomes a step */
  bool (*is_watched)(void *context, const char *name); /* NULL: nothing is */
  void *watch_context;
} plan_request;

/* Errors: INPUT where shapes do not fit, OUT_OF_MEMORY, BUDGET, and what prepare functions return. */
norma_status plan_create(const plan_request *request, plan **plan, norma_error *error);
void plan_destroy(plan *plan); /* NULL is fine */

/* There is no memory for the arena: the error names its largest value and the node that makes it. */
norma_status plan_arena_error(const plan *plan, norma_error *error);

/* Whether the plan of a main graph serves inputs of these shapes. */
bool plan_matches(const plan *plan, const value_info *inputs);
/* Whether the plan of a subgraph serves these values. */
bool plan_matches_values(const plan *plan, const value *const *inputs, const value *const *captures);

/* Slot of a value of this graph or of a capture, -1 if it has none. */
int plan_find_slot(const plan *plan, const graph_value *value);

#endif

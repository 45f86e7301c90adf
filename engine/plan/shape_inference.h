/*
 * Types, shapes and small known values of a whole graph, from what is known of its inputs.
 *
 * The same walk serves at load (dimensions may be unknown), when a plan is made (input shapes known), and below
 * subgraphs. Nodes whose inputs are all known and small are evaluated, so that shape arithmetic (Shape, Gather, Concat
 * ...) comes out as numbers.
 */
#ifndef ENGINE_PLAN_SHAPE_INFERENCE_H
#define ENGINE_PLAN_SHAPE_INFERENCE_H

#include "engine/execute/evaluation.h"

/* Values of at most this many elements are evaluated while inferring. */
#define INFERENCE_KNOWN_ELEMENTS 1024

typedef struct inferrer {
  executor *executor;
  region *region;
  const graph *graph;
  struct inferrer *outer; /* of the graph around this one */
  value_info *infos;      /* by value id */
  const value **known;    /* by value id; NULL where not known */
  struct owned_value *owned;
  norma_status failure; /* for shapes that do not fit */
  bool write_back;      /* results go into graph_value.info too */
  bool is_tolerant;     /* nodes that cannot be inferred leave their outputs as they were described before */
  /* Where there is no outer inferrer: of graph->captures; else NULL. Values are NONE where they are not known. */
  const value_info *capture_infos;
  const value *capture_values;
  /* NULL, or a walk of the same graph that has ended well, from which results are taken where nothing has changed. */
  const struct inferrer *earlier;
  bool *same; /* by value id, where there is an earlier walk: what is known is what was known then */
} inferrer;

/* Inputs start with their declared info, constants with their contents. `region` must outlive the inferrer. */
norma_status inferrer_init(inferrer *inferrer, executor *executor, region *region, const graph *graph,
                           struct inferrer *outer, norma_status failure, norma_error *error);
/* For a walk whose inputs are set and which has not begun: nodes whose inputs are known to be what they were in
 * `earlier` are not inferred again. That one may be released as soon as this walk has ended. Errors: OUT_OF_MEMORY,
 * BUDGET. */
norma_status inferrer_follow(inferrer *inferrer, const struct inferrer *earlier, norma_error *error);
/* Walks the graph's nodes. Nodes without an operator leave their outputs unknown. */
norma_status inferrer_run(inferrer *inferrer, norma_error *error);
void inferrer_release(inferrer *inferrer);

/* Infers the whole graph, subgraphs included, into graph_value.info, as far as the model tells. Errors: INVALID_MODEL,
 * OUT_OF_MEMORY, BUDGET, CANCELLED, DEADLINE. */
norma_status infer_graph(graph *graph, executor *executor, norma_error *error);
/* The same as far as it goes: outputs of nodes for which inference fails stay as they were described before. Errors:
 * OUT_OF_MEMORY, BUDGET, CANCELLED, DEADLINE. */
norma_status infer_graph_partly(graph *graph, executor *executor, norma_error *error);

/* What is known of a value of this graph or an outer one. */
const value_info *inferrer_info(const inferrer *inferrer, const graph_value *value);
const value *inferrer_known(const inferrer *inferrer, const graph_value *value);

#endif

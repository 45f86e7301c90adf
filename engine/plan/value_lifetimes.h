/*
 * Where the values of a plan live: lifetimes, values that share memory, places in the arena.
 *
 * Three ways to share, all of them only inside the arena. A view (OPERATOR_VIEW) is its input under another shape. An
 * output may take over the memory of an input that dies (operator.in_place). And the inputs of a step that puts them
 * one behind another (OPERATOR_CONCATENATES: Concat along the outermost axis) are written straight into their part of
 * its output, unless the arena would grow by it.
 */
#ifndef ENGINE_PLAN_VALUE_LIFETIMES_H
#define ENGINE_PLAN_VALUE_LIFETIMES_H

#include "engine/plan/plan.h"

/* For a plan whose steps and slots are complete. Errors: OUT_OF_MEMORY, BUDGET. */
norma_status plan_arrange(plan *plan, const plan_request *request, norma_error *error);

static inline bool plan_request_watches(const plan_request *request, const graph_value *value) {
  return request->is_watched && request->is_watched(request->watch_context, value->name);
}

#endif

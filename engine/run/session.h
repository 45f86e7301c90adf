/*
 * A session: what is bound to the inputs and outputs of one model, the plans and frames for their shapes, and the
 * values of the last run. One thread at a time but for norma_session_cancel.
 *
 *   session.c          its life, inputs, plans, runs
 *   session_results.c  what a run has left: outputs, watched values, the profile
 *   session_named.c    a run with inputs and outputs by name in one call
 */
#ifndef ENGINE_RUN_SESSION_H
#define ENGINE_RUN_SESSION_H

#include "engine/execute/runtime.h"
#include "engine/graph/model.h"
#include "engine/run/frame.h"
#include "engine/run/subgraph.h"

typedef struct planned {
  plan *plan;
  frame *frame;
  uint64_t last_used;
} planned;

typedef struct output_binding {
  void *buffer;
  size_t bytes;
} output_binding;

struct norma_session {
  norma_model *model;
  memory *memory;
  executor executor;
  subgraph_cache subgraphs;
  region spare; /* of the executor */
  atomic_bool cancelled;
  double timeout;
  bool profile;
  norma_progress progress;
  void *progress_context;

  value *inputs; /* by graph input; NONE where not bound */
  value_info *input_infos;
  value *saved_inputs; /* by graph input: what was bound before a run by name */
  value_info *saved_infos;
  output_binding *bindings; /* by graph output */
  value *outputs;           /* by graph output: of the last run */
  bool has_run;             /* the last run was successful, and its values are there */

  int plan_capacity, plan_count;
  planned *plans;
  planned *current; /* NULL: none is made for the bound inputs */
  planned *ran;     /* of the last run, successful or not; NULL: there was none, or its plan is gone */
  uint64_t clock;   /* counts uses of plans */

  char *arena;
  size_t arena_bytes;
  bool arena_is_borrowed;

  size_t watch_count;
  const char **watched; /* names in the model */
  bool watch_all;
};

/* Whether a run may be asked for this input. */
static inline bool is_runtime_input(const graph_value *value) {
  return !value->constant;
}

/* The graph input of that name that can be set; NULL: the next one that is not bound. -1: there is none. */
int session_find_input(const norma_session *session, const char *name);

/* Binds a value, which is borrowed, to the input of that name. Errors: as norma_session_set_input_value. */
norma_status session_bind_input(norma_session *session, const char *name, const value *given, norma_error *error);

/* The graph's value of that name, as far as it is still there. */
const graph_value *session_find_named(const norma_session *session, const char *name);

/* Whether the value of that name is kept after each run though it is no output. */
bool session_is_watched(const norma_session *session, const char *name);

/* Gives up all plans, with the values of the last run. */
void session_forget_plans(norma_session *session);

#endif

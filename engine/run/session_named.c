/* A run with inputs and outputs by name in one call. What is given is bound for the run alone: afterwards the session
 * has the inputs that it had before. */
#include "engine/run/session.h"

typedef struct named_run {
  norma_session *session;
  const char *const *input_names, *const *output_names;
  const norma_value *const *inputs;
  size_t input_count, output_count;
} named_run;

/* Whether the value can be read after a run: an output, or watched. */
static bool is_readable(const norma_session *session, const char *name) {
  const graph *graph = session->model->graph;
  for (int i = 0; i < graph->output_count; i++) {
    if (strcmp(graph->outputs[i]->name, name) == 0) return true;
  }
  return session_is_watched(session, name) && session_find_named(session, name);
}

static norma_status check_outputs(const named_run *run, norma_error *error) {
  const size_t count = (size_t)run->session->model->graph->output_count;
  if (!run->output_names && run->output_count > count) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "%zu outputs are asked for, the model has %zu", run->output_count,
                     count);
  }
  for (size_t i = 0; run->output_names && i < run->output_count; i++) {
    if (run->output_names[i] && is_readable(run->session, run->output_names[i])) continue;
    return error_set(error, NORMA_ERROR_ARGUMENT, "the model has no output '%s', and no value of that name is watched",
                     run->output_names[i] ? run->output_names[i] : "");
  }
  return NORMA_OK;
}

static norma_status bind_all(const named_run *run, norma_error *error) {
  norma_session *session = run->session;
  for (size_t i = 0; i < run->input_count; i++) {
    const char *name = run->input_names[i];
    if (!name || !run->inputs[i]) return error_set(error, NORMA_ERROR_ARGUMENT, "input %zu has no name or value", i);
    for (size_t k = 0; k < i; k++) {
      if (strcmp(run->input_names[k], name) == 0) {
        return error_set(error, NORMA_ERROR_ARGUMENT, "input '%s' is given twice", name);
      }
    }
    TRY(session_bind_input(session, name, run->inputs[i], error));
  }
  return NORMA_OK;
}

static void save_inputs(norma_session *session) {
  const size_t count = (size_t)session->model->graph->input_count;
  memcpy(session->saved_inputs, session->inputs, count * sizeof *session->inputs);
  memcpy(session->saved_infos, session->input_infos, count * sizeof *session->input_infos);
}

/* An input that was not bound before keeps its description, so that the plan stays the current one until others are
 * given. */
static void restore_inputs(norma_session *session) {
  const graph *graph = session->model->graph;
  for (int i = 0; i < graph->input_count; i++) {
    const value_info *before = &session->saved_infos[i], *now = &session->input_infos[i];
    session->inputs[i] = session->saved_inputs[i];
    if (session->inputs[i].kind == NORMA_VALUE_NONE) continue;
    if (before->kind != now->kind || before->type != now->type || !shape_equal(&before->shape, &now->shape)) {
      session->current = NULL;
    }
    session->input_infos[i] = *before;
  }
}

static void take_outputs(const named_run *run, const norma_value **outputs) {
  for (size_t i = 0; i < run->output_count; i++) {
    outputs[i] = run->output_names ? norma_session_value(run->session, run->output_names[i])
                                   : norma_session_output(run->session, i);
  }
}

norma_status norma_session_run_named(norma_session *session, const norma_run_options *options,
                                     const char *const *input_names, const norma_value *const *inputs,
                                     size_t input_count, const char *const *output_names, const norma_value **outputs,
                                     size_t output_count, norma_error *error) {
  for (size_t i = 0; outputs && i < output_count; i++) outputs[i] = NULL;
  if (!session || (input_count > 0 && (!input_names || !inputs)) || (output_count > 0 && !outputs)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a session, names and values, and places for outputs are needed");
  }
  const named_run run = {session, input_names, output_names, inputs, input_count, output_count};
  TRY(check_outputs(&run, error));
  save_inputs(session);
  norma_status status = bind_all(&run, error);
  if (status == NORMA_OK) status = norma_session_run_with(session, options, error);
  if (status == NORMA_OK) take_outputs(&run, outputs);
  restore_inputs(session);
  return status;
}

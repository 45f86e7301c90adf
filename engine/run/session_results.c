/* What a run will leave and has left: outputs, watched values, the profile; and how its plan uses the arena. */
#include "engine/run/session.h"

#include <limits.h>

const norma_value *norma_session_output(const norma_session *session, size_t index) {
  if (!session || !session->has_run || index >= (size_t)session->model->graph->output_count) return NULL;
  return &session->outputs[index];
}

norma_status norma_session_planned_output(const norma_session *session, size_t index, norma_tensor *tensor) {
  if (!session || !tensor || index >= (size_t)session->model->graph->output_count) return NORMA_ERROR_ARGUMENT;
  if (!session->current) return NORMA_ERROR_INPUT;
  const plan *plan = session->current->plan;
  const value_info *info = &plan->slots[plan->outputs[index]].info;
  const bool is_fixed =
      info->kind == NORMA_VALUE_TENSOR && info->type != NORMA_UNDEFINED && shape_is_known(&info->shape);
  if (!is_fixed) return NORMA_ERROR_INPUT;
  return norma_tensor_init(tensor, info->type, info->shape.rank, info->shape.dims, NULL);
}

const graph_value *session_find_named(const norma_session *session, const char *name) {
  const graph *graph = session->model->graph;
  for (int i = 0; i < graph->value_count; i++) {
    const graph_value *value = graph->values[i];
    bool is_there = value->producer || value->is_input || value->constant;
    if (is_there && strcmp(value->name, name) == 0) return value;
  }
  return NULL;
}

norma_status norma_session_watch(norma_session *session, const char *name, norma_error *error) {
  if (!session || !name) return error_set(error, NORMA_ERROR_ARGUMENT, "a session and a name are needed");
  if (strcmp(name, "*") == 0) {
    session->watch_all = true;
    session_forget_plans(session);
    return NORMA_OK;
  }
  const graph_value *value = session_find_named(session, name);
  if (!value) {
    return error_set(error, NORMA_ERROR_ARGUMENT,
                     "the model computes no value '%s' at this optimisation level (level 0 computes all)", name);
  }
  size_t bytes = session->watch_count * sizeof *session->watched;
  const char **grown = memory_resize(session->memory, (void *)session->watched, bytes, bytes + sizeof *grown);
  if (!grown) return memory_error(session->memory, bytes + sizeof *grown, error);
  session->watched = grown;
  session->watched[session->watch_count++] = value->name;
  session_forget_plans(session);
  return NORMA_OK;
}

norma_status norma_session_unwatch(norma_session *session, const char *name, norma_error *error) {
  if (!session || !name) return error_set(error, NORMA_ERROR_ARGUMENT, "a session and a name are needed");
  size_t kept = 0;
  const bool is_all = strcmp(name, "*") == 0;
  for (size_t i = 0; i < session->watch_count && !is_all; i++) {
    if (strcmp(session->watched[i], name) != 0) session->watched[kept++] = session->watched[i];
  }
  if (!is_all && kept == session->watch_count) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the value '%s' is not watched", name);
  }
  session->watch_count = kept;
  if (is_all) session->watch_all = false;
  session_forget_plans(session);
  return NORMA_OK;
}

/* A value of the last run that may be shown: kept, or there anyway. */
static const value *kept_value(const norma_session *session, const graph_value *value) {
  const plan *plan = session->ran->plan;
  int index = plan->slot_of_value[value->id];
  if (index < 0) return plan->inferrer.known[value->id];
  const slot *slot = &plan->slots[index];
  if (slot->contents && slot->contents->kind == NORMA_VALUE_TENSOR && !slot->contents->tensor.data &&
      slot->contents->tensor.size_bytes > 0) {
    return NULL; /* packed, and given back: see norma_load_options.keep_constants */
  }
  /* what nobody asked for may have been overwritten, even where its memory is still in use */
  const bool is_computed = slot->kind == SLOT_ARENA || slot->kind == SLOT_DYNAMIC;
  const bool is_kept = value->output_count > 0 || session_is_watched(session, value->name);
  return !is_computed || is_kept ? &session->ran->frame->values[index] : NULL;
}

const norma_value *norma_session_value(const norma_session *session, const char *name) {
  if (!session || !session->has_run || !name) return NULL;
  const graph *graph = session->model->graph;
  for (int i = 0; i < graph->output_count; i++) {
    if (strcmp(graph->outputs[i]->name, name) == 0) return &session->outputs[i];
  }
  const graph_value *value = session_find_named(session, name);
  return value ? kept_value(session, value) : NULL;
}

void norma_session_visit_values(const norma_session *session, norma_visit_value visit, void *context) {
  if (!session || !session->has_run) return;
  const graph *graph = session->model->graph;
  for (const node *node = graph->first; node; node = node->next) {
    for (int i = 0; i < node->output_count; i++) {
      if (!node->outputs[i]) continue;
      bool wanted = node->outputs[i]->output_count > 0 || session_is_watched(session, node->outputs[i]->name);
      const value *value = wanted ? kept_value(session, node->outputs[i]) : NULL;
      if (value) visit(context, node->outputs[i]->name, value);
    }
  }
}

/* ---------------------------------------------------------------------------------------------------------- profile */

/* The plan that is told about: that of the bound inputs, or else of the last run. */
static const planned *shown_plan(const norma_session *session) {
  return session ? session->current ? session->current : session->ran : NULL;
}

static const planned *profiled(const norma_session *session) {
  const planned *shown = shown_plan(session);
  return shown && shown->frame->profile ? shown : NULL;
}

size_t norma_session_profile_count(const norma_session *session) {
  const planned *shown = profiled(session);
  return shown ? (size_t)shown->plan->step_count : 0;
}

norma_status norma_session_profile(const norma_session *session, size_t index, norma_profile_entry *entry) {
  const planned *shown = profiled(session);
  if (!entry || !shown || index >= (size_t)shown->plan->step_count) return NORMA_ERROR_ARGUMENT;
  const step *step = &shown->plan->steps[index];
  const step_profile *profile = &shown->frame->profile[index];
  *entry = (norma_profile_entry){.node = step->node->name,
                                 .op_type = step->node->op_type,
                                 .kernel = step->kernel_name ? step->kernel_name : "",
                                 .runs = profile->runs,
                                 .total_ns = profile->total_ns,
                                 .start_ns = profile->start_ns,
                                 .last_ns = profile->last_ns,
                                 .flops = step->flops,
                                 .bytes = step->skipped ? 0 : step->bytes};
  return NORMA_OK;
}

void norma_session_profile_reset(norma_session *session) {
  size_t count = norma_session_profile_count(session);
  if (count > 0) memset(profiled(session)->frame->profile, 0, count * sizeof(step_profile));
}

/* ------------------------------------------------------------------------------------------------------------ arena */

void norma_session_visit_arena(const norma_session *session, norma_visit_arena visit, void *context) {
  const planned *shown = shown_plan(session);
  if (!shown) return;
  const plan *plan = shown->plan;
  for (int i = 0; i < plan->slot_count; i++) {
    const slot *slot = &plan->slots[i];
    if (slot->kind != SLOT_ARENA || slot->root != i || slot->parent >= 0) continue;
    visit(context, &(norma_arena_use){.value = slot->value->name,
                                      .offset = slot->offset,
                                      .bytes = value_info_bytes(&slot->info),
                                      .first_step = (size_t)slot->first,
                                      .last_step = slot->last == INT_MAX ? SIZE_MAX : (size_t)slot->last});
  }
  for (int i = 0; i < plan->step_count; i++) {
    const step *step = &plan->steps[i];
    const size_t at = (size_t)i, workers = (size_t)norma_runtime_threads(norma_model_runtime(session->model));
    norma_arena_use use = {
        .offset = step->scratch_offset, .bytes = step->scratch_bytes, .first_step = at, .last_step = at};
    if (use.bytes > 0) visit(context, &use);
    use.offset = step->worker_scratch_offset;
    use.bytes = step->worker_scratch_stride * workers;
    if (use.bytes > 0) visit(context, &use);
  }
}

#include "engine/run/session.h"

#include "engine/base/struct_size.h"

#include <stdarg.h>
#include <stdio.h>

#define DEFAULT_MAX_PLANS 4
/* An arena that grows takes this part more than it needs: where a cache grows with each run, new pages for the whole
 * arena each time would cost half as much as the run. What is not used is never touched. */
#define ARENA_SLACK 4

/* ----------------------------------------------------------------------------------------------------------- inputs */

int session_find_input(const norma_session *session, const char *name) {
  const graph *graph = session->model->graph;
  const graph_value *named = name ? graph_find_value(graph, name) : NULL;
  if (name && (!named || !named->is_input)) return -1;
  for (int i = 0; i < graph->input_count; i++) {
    if (!is_runtime_input(graph->inputs[i])) continue;
    if (name ? graph->inputs[i] == named : session->inputs[i].kind == NORMA_VALUE_NONE) return i;
  }
  return -1;
}

static norma_status input_error(norma_error *error, norma_status status, const char *name, const char *message,
                                const char *found, const char *expected) {
  error_set(error, status, "input '%s' %s %s, expected %s", name, message, found, expected);
  if (error) ERROR_COPY(error->value, name);
  return status;
}

static const char *const value_kind_names[] = {"nothing", "a tensor", "a sequence", "an optional", "a map"};

/* A value in a container against its declaration, as deep as that goes. */
static bool value_fits(const value_info *info, const value *value) {
  if (!info || info->kind == NORMA_VALUE_NONE || value->kind == NORMA_VALUE_NONE) return true;
  if (value->kind != info->kind) return false;
  if (value->kind == NORMA_VALUE_TENSOR) {
    shape shape = shape_of_tensor(&value->tensor);
    return (info->type == NORMA_UNDEFINED || value->tensor.type == info->type) && shape_merge(&shape, &info->shape);
  }
  bool fits = true;
  for (int64_t i = 0; value->kind != NORMA_VALUE_MAP && fits && i < value->list->count; i++) {
    fits = value_fits(info->item, &value->list->items[i]);
  }
  return fits;
}

static norma_status session_check_input(const graph_value *declared, const value *given, norma_error *error) {
  const value_info *info = &declared->info;
  if (info->kind != NORMA_VALUE_NONE && given->kind != info->kind &&
      !(info->kind == NORMA_VALUE_OPTIONAL && given->kind != NORMA_VALUE_MAP)) {
    return input_error(error, NORMA_ERROR_INPUT, declared->name, "is", value_kind_names[given->kind],
                       value_kind_names[info->kind]);
  }
  bool is_bare = info->kind == NORMA_VALUE_OPTIONAL && given->kind != NORMA_VALUE_OPTIONAL; /* the element itself */
  bool is_list = info->kind == NORMA_VALUE_OPTIONAL || info->kind == NORMA_VALUE_SEQUENCE;
  if (is_list && !value_fits(is_bare ? info->item : info, given)) {
    return input_error(error, NORMA_ERROR_INPUT, declared->name, "has", "elements of another type or shape",
                       "those that the model declares");
  }
  if (given->kind != NORMA_VALUE_TENSOR || info->kind != NORMA_VALUE_TENSOR) return NORMA_OK;
  if (info->type != NORMA_UNDEFINED && given->tensor.type != info->type) {
    return input_error(error, NORMA_ERROR_INPUT, declared->name, "has element type",
                       norma_element_type_name(given->tensor.type), norma_element_type_name(info->type));
  }
  shape shape = shape_of_tensor(&given->tensor), merged = shape;
  char found[200], expected[200];
  if (shape_merge(&merged, &info->shape)) return NORMA_OK;
  return input_error(error, NORMA_ERROR_INPUT, declared->name, "has shape", shape_text(&shape, found, sizeof found),
                     shape_text(&info->shape, expected, sizeof expected));
}

norma_status session_bind_input(norma_session *session, const char *name, const value *given, norma_error *error) {
  int index = session_find_input(session, name);
  if (index < 0 && name) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the model has no input '%s' that can be set", name);
  }
  if (index < 0) return error_set(error, NORMA_ERROR_ARGUMENT, "all inputs of the model are set already");
  TRY(session_check_input(session->model->graph->inputs[index], given, error));
  value_info info = value_info_of(given);
  const value_info *old = &session->input_infos[index];
  if (info.kind != old->kind || info.type != old->type || !shape_equal(&info.shape, &old->shape)) {
    session->current = NULL;
  }
  session->inputs[index] = *given;
  session->inputs[index].owner = NULL;
  session->input_infos[index] = info;
  return NORMA_OK;
}

norma_status norma_session_set_input(norma_session *session, const char *name, const norma_tensor *tensor,
                                     norma_error *error) {
  if (!session || !tensor) return error_set(error, NORMA_ERROR_ARGUMENT, "a session and a tensor are needed");
  if (!tensor_is_sound(tensor)) {
    return error_set(error, NORMA_ERROR_ARGUMENT,
                     "the tensor for input '%s' is malformed: type, shape, size_bytes and data do not agree",
                     name ? name : "");
  }
  const value given = {.kind = NORMA_VALUE_TENSOR, .tensor = *tensor};
  return session_bind_input(session, name, &given, error);
}

norma_status norma_session_set_input_value(norma_session *session, const char *name, const norma_value *value,
                                           norma_error *error) {
  if (!session || !value) return error_set(error, NORMA_ERROR_ARGUMENT, "a session and a value are needed");
  return session_bind_input(session, name, value, error);
}

void norma_session_clear_inputs(norma_session *session) {
  if (!session) return;
  const graph *graph = session->model->graph;
  for (int i = 0; i < graph->input_count; i++) {
    session->inputs[i] = (value){.kind = NORMA_VALUE_NONE};
    session->input_infos[i] = (value_info){.shape = {.rank = RANK_UNKNOWN}};
  }
  session->current = NULL;
}

/* What the plan saw here last time is of no use any more: nothing is bound. */
static void forget_input(norma_session *session, int index) {
  if (session->input_infos[index].kind == NORMA_VALUE_NONE) return;
  session->input_infos[index] = (value_info){.shape = {.rank = RANK_UNKNOWN}};
  session->current = NULL;
}

/* Inputs that were left out take their overridable initializer. */
static norma_status complete_inputs(norma_session *session, norma_error *error) {
  const graph *graph = session->model->graph;
  for (int i = 0; i < graph->input_count; i++) {
    const graph_value *declared = graph->inputs[i];
    if (!is_runtime_input(declared) || session->inputs[i].kind != NORMA_VALUE_NONE) continue;
    if (declared->initial) {
      TRY(session_bind_input(session, declared->name, declared->initial, error));
    } else if (declared->info.kind != NORMA_VALUE_OPTIONAL) {
      char expected[200];
      error_set(error, NORMA_ERROR_INPUT, "input '%s' is not set: expected %s of shape %s", declared->name,
                norma_element_type_name(declared->info.type),
                shape_text(&declared->info.shape, expected, sizeof expected));
      if (error) ERROR_COPY(error->value, declared->name);
      return NORMA_ERROR_INPUT;
    } else {
      forget_input(session, i);
    }
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ plans */

bool session_is_watched(const norma_session *session, const char *name) {
  for (size_t i = 0; i < session->watch_count; i++) {
    if (strcmp(session->watched[i], name) == 0) return true;
  }
  return session->watch_all;
}

static bool plan_is_watched(void *context, const char *name) {
  return session_is_watched(context, name);
}

static void planned_free(planned *planned) {
  frame_destroy(planned->frame);
  plan_destroy(planned->plan);
  *planned = (struct planned){0};
}

void session_forget_plans(norma_session *session) {
  for (int i = 0; i < session->plan_count; i++) planned_free(&session->plans[i]);
  session->plan_count = 0;
  session->current = session->ran = NULL;
  session->has_run = false;
}

static planned *find_planned(norma_session *session) {
  for (int i = 0; i < session->plan_count; i++) {
    if (plan_matches(session->plans[i].plan, session->input_infos)) return &session->plans[i];
  }
  return NULL;
}

/* A place for one more plan; the one that was used longest ago goes. */
static planned *make_room_for_plan(norma_session *session) {
  if (session->plan_count < session->plan_capacity) return &session->plans[session->plan_count++];
  planned *oldest = &session->plans[0];
  for (int i = 1; i < session->plan_count; i++) {
    if (session->plans[i].last_used < oldest->last_used) oldest = &session->plans[i];
  }
  planned_free(oldest);
  if (session->ran == oldest) session->ran = NULL;
  session->has_run = false;
  return oldest;
}

/* One line to the log of the run in progress. */
static void session_log(const norma_session *session, norma_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void session_log(const norma_session *session, norma_log_level level, const char *format, ...) {
  const executor *executor = &session->executor;
  if (!executor->log) return;
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  executor->log(executor->log_context, level, line);
}

/* The plan that was used last: its shapes tend to be the most like the next ones. NULL: there is none. */
static const plan *session_latest_plan(const norma_session *session) {
  const planned *latest = NULL;
  for (int i = 0; i < session->plan_count; i++) {
    if (!latest || session->plans[i].last_used > latest->last_used) latest = &session->plans[i];
  }
  return latest ? latest->plan : NULL;
}

static norma_status make_plan(norma_session *session, norma_error *error) {
  plan_request request = {.executor = &session->executor,
                          .graph = session->model->graph,
                          .inputs = session->input_infos,
                          .similar = session_latest_plan(session),
                          .keep_all = session->model->optimization == NORMA_OPTIMIZE_NONE,
                          .is_watched = plan_is_watched,
                          .watch_context = session};
  plan *plan;
  frame *frame;
  TRY(plan_create(&request, &plan, error));
  norma_status status = frame_create(session->memory, plan, &session->executor, session->profile, &frame, error);
  if (status != NORMA_OK) {
    plan_destroy(plan);
    return status;
  }
  session->current = make_room_for_plan(session);
  *session->current = (planned){.plan = plan, .frame = frame};
  session_log(session, NORMA_LOG_DEBUG, "plan: %d steps, arena of %zu bytes%s", plan->step_count, plan->arena_bytes,
              plan->is_static ? "" : ", more as the data ask for");
  return NORMA_OK;
}

static norma_status reserve_arena(norma_session *session, size_t bytes, norma_error *error) {
  if (bytes <= session->arena_bytes) return NORMA_OK;
  if (session->arena_is_borrowed) {
    return error_set(error, NORMA_ERROR_BUDGET, "the arena has %zu bytes, these inputs need %zu", session->arena_bytes,
                     bytes);
  }
  size_t more = session->arena_bytes ? bytes + bytes / ARENA_SLACK : bytes;
  char *arena = memory_allocate(session->memory, more);
  if (!arena && more > bytes) arena = memory_allocate(session->memory, more = bytes);
  if (!arena) return plan_arena_error(session->current->plan, error);
  memory_free(session->memory, session->arena);
  session->arena = arena;
  session->arena_bytes = more;
  session->has_run = false;
  return NORMA_OK;
}

/* Outputs that the plan computes into memory of their own go straight into the caller's buffers. */
static bool apply_bindings(norma_session *session) {
  const plan *plan = session->current->plan;
  frame *frame = session->current->frame;
  bool changed = false;
  for (int i = 0; i < plan->graph->output_count; i++) {
    const slot *slot = &plan->slots[plan->outputs[i]];
    const output_binding *binding = &session->bindings[i];
    if (slot->kind != SLOT_ARENA || slot->root != plan->outputs[i]) continue;
    bool fits = binding->buffer && binding->bytes >= frame->values[plan->outputs[i]].tensor.size_bytes;
    void *override = fits ? binding->buffer : NULL;
    if (frame->overrides[slot->root] == override) continue;
    frame->overrides[slot->root] = override;
    changed = true;
  }
  return changed;
}

static norma_status prepare_plan(norma_session *session, norma_error *error) {
  TRY(complete_inputs(session, error));
  if (!session->current) session->current = find_planned(session);
  if (!session->current) TRY(make_plan(session, error));
  session->current->last_used = ++session->clock;
  TRY(reserve_arena(session, session->current->plan->arena_bytes, error));
  frame *frame = session->current->frame;
  if (apply_bindings(session) || frame->arena != session->arena) frame_bind(frame, session->arena);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- create */

static void begin_planning(norma_session *session) {
  const norma_limits *limits = &session->planning;
  interruption_begin(&session->interruption, "planning", limits->timeout, limits->is_cancelled, limits->cancel_context);
}

/* What ends the next call early is asked for anew. */
static void end_work(norma_session *session) {
  interruption_begin(&session->interruption, "run", 0, NULL, NULL);
  atomic_store(&session->interruption.cancelled, false);
}

static norma_status plan_when_static(norma_session *session, norma_error *error) {
  const graph *graph = session->model->graph;
  for (int i = 0; i < graph->input_count; i++) {
    const graph_value *input = graph->inputs[i];
    if (!is_runtime_input(input)) continue;
    if (input->info.kind != NORMA_VALUE_TENSOR || !shape_is_known(&input->info.shape)) return NORMA_OK;
  }
  for (int i = 0; i < graph->input_count; i++) {
    if (is_runtime_input(graph->inputs[i])) session->input_infos[i] = graph->inputs[i]->info;
  }
  TRY(make_plan(session, error));
  session->current->last_used = ++session->clock;
  norma_status status = reserve_arena(session, session->current->plan->arena_bytes, error);
  return status;
}

static norma_status session_allocate(norma_session *session, int max_plans, norma_error *error) {
  const graph *graph = session->model->graph;
  memory *memory = session->memory;
  size_t inputs = (size_t)graph->input_count, outputs = (size_t)graph->output_count;
  session->plan_capacity = max_plans;
  session->inputs = memory_allocate_zeroed(memory, inputs * sizeof *session->inputs);
  session->input_infos = memory_allocate_zeroed(memory, inputs * sizeof *session->input_infos);
  session->saved_inputs = memory_allocate_zeroed(memory, inputs * sizeof *session->saved_inputs);
  session->saved_infos = memory_allocate_zeroed(memory, inputs * sizeof *session->saved_infos);
  session->bindings = memory_allocate_zeroed(memory, outputs * sizeof *session->bindings);
  session->outputs = memory_allocate_zeroed(memory, outputs * sizeof *session->outputs);
  session->plans = memory_allocate_zeroed(memory, (size_t)max_plans * sizeof *session->plans);
  if (!session->inputs || !session->input_infos || !session->saved_inputs || !session->saved_infos ||
      !session->bindings || !session->outputs || !session->plans) {
    return memory_error(memory, inputs * sizeof *session->inputs, error);
  }
  norma_session_clear_inputs(session);
  return NORMA_OK;
}

static void session_use_runtime_log(norma_session *session) {
  const norma_runtime *runtime = session->model->runtime;
  session->executor.log = runtime->log;
  session->executor.log_context = runtime->log_context;
}

static void session_init_executor(norma_session *session) {
  const norma_runtime *runtime = session->model->runtime;
  executor_init_serial(&session->executor, session->memory, runtime->kernels, session->model->packed,
                       session->model->exact);
  session->executor.flush_denormals = session->model->flush_denormals;
  session->executor.workers = runtime->workers;
  session->executor.parallel = runtime->parallel;
  session->executor.parallel_context = runtime->parallel_context;
  session->executor.interruption = &session->interruption;
  session->subgraphs.memory = session->memory;
  session->subgraphs.keep_all = session->model->optimization == NORMA_OPTIMIZE_NONE;
  session->executor.subgraphs = &session->subgraphs;
  region_init(&session->spare, session->memory);
  session->executor.spare = &session->spare;
  session_use_runtime_log(session);
}

norma_status norma_session_create(norma_model *model, const norma_session_options *given, norma_session **result,
                                  norma_error *error) {
  if (!model || !result)
    return error_set(error, NORMA_ERROR_ARGUMENT, "a model and a place for the session are needed");
  *result = NULL;
  norma_error local; /* the functions below complete what stands in the error */
  if (!error) error = &local;
  norma_session_options options;
  TRY(options_take(&options, sizeof options, given, "norma_session_options", error));
  if (model->form == NORMA_FORM_INSPECT) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the model was loaded to be looked at, not to be run");
  }
  if (options.max_plans < 0 || (options.arena && (uintptr_t)options.arena % MEMORY_ALIGNMENT != 0)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "max_plans must not be negative, the arena must be aligned to %d",
                     MEMORY_ALIGNMENT);
  }
  norma_session *session = memory_allocate_zeroed(model->memory, sizeof *session);
  if (!session) return memory_error(model->memory, sizeof *session, error);
  session->model = model;
  session->memory = model->memory;
  session->profile = options.profile;
  session->arena = options.arena;
  session->arena_bytes = options.arena ? options.arena_bytes : 0;
  session->arena_is_borrowed = options.arena != NULL;
  session_init_executor(session);
  session->progress = options.progress;
  session->progress_context = options.progress_context;
  session->planning = (norma_limits){
      .timeout = options.timeout, .is_cancelled = options.is_cancelled, .cancel_context = options.cancel_context};
  begin_planning(session);
  norma_status status = session_allocate(session, options.max_plans ? options.max_plans : DEFAULT_MAX_PLANS, error);
  if (status == NORMA_OK) status = plan_when_static(session, error);
  end_work(session);
  if (status != NORMA_OK) {
    norma_session_destroy(session);
    return status;
  }
  *result = session;
  return NORMA_OK;
}

void norma_session_destroy(norma_session *session) {
  if (!session) return;
  memory *memory = session->memory;
  if (session->plans) session_forget_plans(session);
  subgraph_cache_free(&session->subgraphs);
  region_free(&session->spare);
  memory_free(memory, session->plans);
  memory_free(memory, session->inputs);
  memory_free(memory, session->input_infos);
  memory_free(memory, session->saved_inputs);
  memory_free(memory, session->saved_infos);
  memory_free(memory, session->bindings);
  memory_free(memory, session->outputs);
  memory_free(memory, (void *)session->watched);
  if (!session->arena_is_borrowed) memory_free(memory, session->arena);
  memory_free(memory, session);
}

/* -------------------------------------------------------------------------------------------------------------- run */

norma_status norma_session_bind_output(norma_session *session, size_t index, void *buffer, size_t bytes,
                                       norma_error *error) {
  if (!session || index >= (size_t)session->model->graph->output_count || (uintptr_t)buffer % MEMORY_ALIGNMENT != 0) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "output %zu cannot be bound: no such output, or not aligned to %d",
                     index, MEMORY_ALIGNMENT);
  }
  session->bindings[index] = (output_binding){buffer, buffer ? bytes : 0};
  return NORMA_OK;
}

norma_status norma_session_prepare(norma_session *session, norma_error *error) {
  if (!session) return error_set(error, NORMA_ERROR_ARGUMENT, "a session is needed");
  session->has_run = false;
  norma_error local;
  begin_planning(session);
  norma_status status = prepare_plan(session, error ? error : &local);
  end_work(session);
  return status;
}

void norma_session_trim(norma_session *session) {
  if (!session) return;
  session_forget_plans(session);
  subgraph_cache_free(&session->subgraphs);
  if (session->arena_is_borrowed) return;
  memory_free(session->memory, session->arena);
  session->arena = NULL;
  session->arena_bytes = 0;
}

norma_status norma_session_memory(const norma_session *session, norma_session_memory_info *info) {
  if (!session) return NORMA_ERROR_ARGUMENT;
  const norma_session_memory_info filled = {.arena_bytes = session->arena_bytes,
                                            .arena_is_borrowed = session->arena_is_borrowed,
                                            .needed_bytes = norma_session_arena_bytes(session),
                                            .plan_count = (size_t)session->plan_count};
  return info_give(info, &filled, sizeof filled);
}

size_t norma_session_arena_bytes(const norma_session *session) {
  return session && session->current ? session->current->plan->arena_bytes : 0;
}

bool norma_session_is_static(const norma_session *session) {
  return session && session->current && session->current->plan->is_static;
}

static norma_status collect_outputs(norma_session *session, norma_error *error) {
  const plan *plan = session->current->plan;
  for (int i = 0; i < plan->graph->output_count; i++) {
    value *output = &session->outputs[i];
    *output = session->current->frame->values[plan->outputs[i]];
    output->owner = NULL;
    const output_binding *binding = &session->bindings[i];
    if (!binding->buffer) continue;
    const char *name = plan->graph->outputs[i]->name;
    bool fits = output->kind == NORMA_VALUE_TENSOR && output->tensor.type != NORMA_STRING &&
                output->tensor.size_bytes <= binding->bytes;
    if (!fits) {
      return error_set(error, NORMA_ERROR_BUDGET, "output '%s' does not fit into its buffer of %zu bytes", name,
                       binding->bytes);
    }
    if (output->tensor.data != binding->buffer && output->tensor.size_bytes) {
      memcpy(binding->buffer, output->tensor.data, output->tensor.size_bytes);
    }
    output->tensor.data = binding->buffer;
  }
  return NORMA_OK;
}

/* What one run is told, the session's own settings standing in for what it is not. */
static norma_status begin_run(norma_session *session, const norma_run_options *options, norma_error *error) {
  executor *executor = &session->executor;
  if ((unsigned)options->profile > NORMA_PROFILE_OFF) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "profile %d does not exist", (int)options->profile);
  }
  const double timeout = options->timeout != 0 ? options->timeout : session->timeout;
  interruption_begin(&session->interruption, "run", timeout, options->is_cancelled, options->cancel_context);
  executor->progress = options->progress ? options->progress : session->progress;
  executor->progress_context = options->progress ? options->progress_context : session->progress_context;
  if (options->log) {
    executor->log = options->log;
    executor->log_context = options->log_context;
  }
  return NORMA_OK;
}

static void end_run(norma_session *session) {
  end_work(session);
  session->executor.progress = NULL;
  session_use_runtime_log(session);
}

static norma_status run_frame(norma_session *session, const norma_run_options *options, norma_error *error) {
  const norma_runtime *runtime = session->model->runtime;
  executor *executor = &session->executor;
  const plan *plan = session->current->plan;
  frame *frame = session->current->frame;
  const bool profile =
      options->profile == NORMA_PROFILE_SESSION ? session->profile : options->profile == NORMA_PROFILE_ON;
  TRY(frame_set_profile(frame, profile, error));
  for (int i = 0; i < plan->graph->input_count; i++) frame_set(frame, plan->inputs[i], &session->inputs[i]);
  bool has_pool = runtime->pool && thread_pool_enter(runtime->pool);
  executor->pool = has_pool ? runtime->pool : NULL;
  session->ran = session->current;
  const float_control before = executor_enter_floats(executor);
  norma_status status = frame_run(frame, executor, error);
  float_control_restore(before);
  if (has_pool) thread_pool_leave(runtime->pool);
  executor->pool = NULL;
  return status;
}

norma_status norma_session_run_with(norma_session *session, const norma_run_options *given, norma_error *error) {
  if (!session) return error_set(error, NORMA_ERROR_ARGUMENT, "a session is needed");
  session->has_run = false;
  norma_error local;
  if (!error) error = &local;
  norma_run_options options;
  norma_status status = options_take(&options, sizeof options, given, "norma_run_options", error);
  if (status == NORMA_OK) status = begin_run(session, &options, error);
  if (status == NORMA_OK) status = prepare_plan(session, error);
  if (status == NORMA_OK) status = run_frame(session, &options, error);
  if (status == NORMA_OK) status = collect_outputs(session, error);
  end_run(session);
  session->has_run = status == NORMA_OK;
  return status;
}

norma_status norma_session_run(norma_session *session, norma_error *error) {
  return norma_session_run_with(session, NULL, error);
}

void norma_session_cancel(norma_session *session) {
  if (session) atomic_store(&session->interruption.cancelled, true);
}

void norma_session_set_timeout(norma_session *session, double seconds) {
  if (session) session->timeout = interruption_is_limit(seconds) ? seconds : 0;
}
